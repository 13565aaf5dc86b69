/**
 * The plan of a statement as a tree; each operator with what it is told.
 */
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { inert } from "@/lib/inert.ts";
import { type PlanNode, planTree } from "@/lib/planTree.ts";
import css from "./PlanTree.module.css";
import type { StatementRun } from "./useStatement.ts";

export function PlanTree({ run }: { readonly run: StatementRun }) {
  if (run.error !== null) return <ErrorNote error={run.error} />;
  if (run.sql === null) return <Empty title="Explain shows how the statement would run" />;
  if (run.progress === null) return <Skeleton lines={8} />;
  const roots = planTree(run.progress.rows.map(([line]) => String(line)));
  return (
    <div className={css.plans}>
      {roots.map((root, at) => (
        <section key={at} aria-label={root.name}>
          <h2>{root.name}</h2>
          {root.detail && <p className="label-text">{inert(root.detail)}</p>}
          <Children nodes={root.children} />
        </section>
      ))}
    </div>
  );
}

function Children({ nodes }: { readonly nodes: readonly PlanNode[] }) {
  return (
    <ul className={css.children}>
      {nodes.map((node, at) => (
        <li key={at}>
          <details open>
            <summary>
              <b>{inert(node.name, 80)}</b> <span className="label-text">{inert(node.detail, 400)}</span>
            </summary>
            {node.children.length > 0 && <Children nodes={node.children} />}
          </details>
        </li>
      ))}
    </ul>
  );
}
