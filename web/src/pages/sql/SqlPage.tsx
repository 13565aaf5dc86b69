/**
 * SQL: an editor that knows the schema, and the answer as a table, a chart or a plan.
 *
 * The statement and the choice of the chart stand in the address. A link with `run=1` runs its statement
 * when it is opened, if it only reads. Procedures and new indexes run as jobs, with their progress.
 */
import { useMutation } from "@tanstack/react-query";
import { Play, Square } from "lucide-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { startJob } from "@/api/jobs.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { CopyButton } from "@/components/Copy.tsx";
import { JobProgress } from "@/components/JobProgress.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { formatCount, formatSeconds, plural } from "@/lib/format.ts";
import { Export } from "./Export.tsx";
import { PlanTree } from "./PlanTree.tsx";
import { ResultTable } from "./ResultTable.tsx";
import { isLongWork, isQuery, MOST_ROWS } from "./runStatement.ts";
import { SchemaBrowser } from "./SchemaBrowser.tsx";
import css from "./SqlPage.module.css";
import { useStatement } from "./useStatement.ts";

const Editor = lazy(() => import("./Editor.tsx"));
const Chart = lazy(() => import("./Chart.tsx"));

const FIRST = `-- The features of a source that fire most strongly.
SELECT model_id, source_id, index, density, max_activation, top_logit_tokens[1:3] AS promotes
FROM features
ORDER BY max_activation DESC NULLS LAST
LIMIT 100`;

type View = "table" | "chart" | "plan";

export default function SqlPage() {
  useTitle("SQL");
  const [parameters, change] = useUrlState();
  const [text, setText] = useState(parameters.get("q") ?? FIRST);
  const asked = parameters.get("view");
  const view: View = asked === "chart" || asked === "plan" ? asked : "table";
  const statement = useStatement();
  const plan = useStatement();
  const job = useMutation({ mutationFn: (sql: string) => startJob({ kind: "statement", sql }) });
  const insert = useRef<((text: string) => void) | null>(null);

  const run = () => {
    if (text.trim() === "") return;
    change({ q: text, run: isQuery(text) ? "1" : null, view: view === "plan" ? null : parameters.get("view") }, { replace: false });
    if (isLongWork(text)) {
      job.mutate(text);
      return;
    }
    job.reset();
    statement.run(text);
  };
  const explain = () => {
    change({ q: text, view: "plan" });
    plan.run(`EXPLAIN ${text.replace(/;\s*$/, "")}`);
  };
  const linked = parameters.get("run") === "1" ? parameters.get("q") : null;
  const { run: runStatement, sql: ran } = statement;
  useEffect(() => {
    // A statement that came with the address, not one that was just run from here.
    if (linked === null || linked === ran || !isQuery(linked)) return;
    setText(linked);
    runStatement(linked, true);
    // Later changes of `ran` are this page's own runs.
  }, [linked, runStatement]);

  return (
    <div className={css.page}>
      <SchemaBrowser onInsert={(name) => insert.current?.(name)} onRun={(sql) => setText(sql)} />
      <div className={css.main}>
        <h1 className="visually-hidden">SQL</h1>
        <div className={css.editor}>
          <Suspense fallback={<Skeleton lines={5} />}>
            <Editor value={text} onChange={setText} onRun={run} errorAt={positionOf(statement.error)} insert={insert} />
          </Suspense>
        </div>
        <div className={css.bar}>
          {statement.isRunning ? (
            <button type="button" className="button" onClick={statement.stop}>
              <Square size={13} aria-hidden /> Stop
            </button>
          ) : (
            <button type="button" className="button primary" onClick={run} disabled={text.trim() === ""}>
              <Play size={13} aria-hidden /> Run
            </button>
          )}
          <button type="button" className="button" onClick={explain} disabled={text.trim() === ""}>
            Explain
          </button>
          <span className={css.status} aria-live="polite">
            {statusOf(statement)}
          </span>
          <div className={css.right}>
            <CopyButton name="Share" text={() => window.location.href} />
            {statement.progress !== null && <Export sql={statement.sql} progress={statement.progress} />}
            <Segments
              name="View"
              value={view}
              options={[
                ["table", "Table"],
                ["chart", "Chart"],
                ["plan", "Plan"],
              ]}
              onChange={(next) => (next === "plan" ? explain() : change({ view: next === "table" ? null : next }))}
            />
          </div>
        </div>
        <div className={css.answer}>
          {job.data !== undefined && <JobProgress job={job.data} />}
          {job.error !== null && <ErrorNote error={job.error} />}
          {view === "plan" ? (
            <PlanTree run={plan} />
          ) : (
            <>
              {statement.error !== null && <ErrorNote error={statement.error} />}
              {statement.progress?.outcome && <Outcome outcome={statement.progress.outcome} />}
              {statement.progress !== null && statement.progress.columns.length > 0 ? (
                view === "chart" ? (
                  <Suspense fallback={<Skeleton lines={10} />}>
                    <Chart progress={statement.progress} />
                  </Suspense>
                ) : (
                  <ResultTable progress={statement.progress} />
                )
              ) : (
                statement.sql === null && job.data === undefined && <Empty title="Ctrl and Enter run the statement" />
              )}
            </>
          )}
        </div>
      </div>
    </div>
  );
}

function statusOf({ progress, isRunning, isStopped, milliseconds, sql, error }: ReturnType<typeof useStatement>): string {
  if (sql === null || error !== null) return "";
  const rows = progress === null ? "" : progress.isCut ? `the first ${formatCount(MOST_ROWS)} rows` : progress.columns.length > 0 ? plural(progress.rows.length, "row") : "";
  const time = formatSeconds(milliseconds);
  if (isRunning) return rows === "" ? `running, ${time}` : `${rows} so far, ${time}`;
  return [isStopped ? "stopped" : "", rows, time].filter(Boolean).join(", ");
}

function Outcome({ outcome }: { readonly outcome: Record<string, unknown> }) {
  const { command, rows_affected: rows, notice } = outcome;
  return (
    <p role="status">
      <b>{String(command ?? "Done")}</b> {typeof rows === "number" && plural(rows, "row")} {typeof notice === "string" && notice}
    </p>
  );
}

function positionOf(error: unknown): number | null {
  const position = typeof error === "object" && error !== null && "position" in error ? error.position : null;
  return typeof position === "number" ? position : null;
}
