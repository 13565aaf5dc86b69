/**
 * Evaluations of sources: one metric against another, and all of them in a table.
 */
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo } from "react";
import { Link } from "react-router";
import { select } from "@/api/sql.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { CsvButton } from "@/components/CsvButton.tsx";
import { CodeBlock } from "@/components/Copy.tsx";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { sourcePath } from "@/lib/address.ts";
import { inert } from "@/lib/inert.ts";
import { EVALS } from "@/queries/evals.ts";
import css from "./EvalsPage.module.css";
import { type EvaluatedSource, evaluatedSources, type EvalTable } from "./evaluatedSources.ts";

const EvalsPlot = lazy(() => import("./EvalsPlot.tsx"));

const EXAMPLE = "CALL eval_source('docs-3m', 'res', 'SELECT text FROM my_texts')";

export default function EvalsPage() {
  useTitle("Evaluations");
  const { data, error, refetch } = useQuery({ queryKey: ["evals"], queryFn: async ({ signal }) => evaluatedSources(await select(EVALS, [], signal)) });
  return (
    <div className="page">
      <header className={css.head}>
        <h1>Evaluations</h1>
        <p className="muted">How well sources describe what they read.</p>
      </header>
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : data === undefined ? (
        <Skeleton lines={10} height={24} />
      ) : data.sources.length === 0 ? (
        <Empty title="No source has been evaluated yet">
          <p>
            A procedure does it, over texts of yours. Run it in <Link to={`/sql?${new URLSearchParams({ q: EXAMPLE })}`}>SQL</Link> or under{" "}
            <Link to="/data">Data</Link>:
          </p>
          <div className={css.example}>
            <CodeBlock code={EXAMPLE} />
          </div>
        </Empty>
      ) : (
        <Evaluated table={data} />
      )}
    </div>
  );
}

function Evaluated({ table }: { readonly table: EvalTable }) {
  const [parameters, change] = useUrlState();
  const { sources, metrics } = table;
  const model = parameters.get("model") ?? "";
  const set = parameters.get("set") ?? "";
  const metric = (name: string, otherwise: string) => {
    const asked = parameters.get(name);
    return asked !== null && metrics.includes(asked) ? asked : metrics.includes(otherwise) ? otherwise : (metrics[0] ?? "");
  };
  const x = metric("x", "l0");
  const y = metric("y", "explained_variance");
  const isLog = parameters.get("log") === "1";
  const shown = useMemo(() => sources.filter((each) => (model === "" || each.model === model) && (set === "" || each.set === set)), [sources, model, set]);
  const models = [...new Set(sources.map((each) => each.model))];
  const sets = [...new Set(sources.filter((each) => model === "" || each.model === model).map((each) => each.set))];
  return (
    <>
      <div className={css.choices}>
        <Choice label="Model" value={model} options={models} any="All models" onChange={(next) => change({ model: next, set: null })} />
        <Choice label="Source set" value={set} options={sets} any="All sets" onChange={(next) => change({ set: next })} />
        <Choice label="x" value={x} options={metrics} onChange={(next) => change({ x: next })} />
        <Choice label="y" value={y} options={metrics} onChange={(next) => change({ y: next })} />
        <label className="check">
          <input type="checkbox" checked={isLog} onChange={(event) => change({ log: event.target.checked ? "1" : null })} /> Logarithmic x
        </label>
      </div>
      <Suspense fallback={<Skeleton lines={10} />}>
        <EvalsPlot sources={shown} x={x} y={y} isLog={isLog} />
      </Suspense>
      <div className="spread">
        <span className="muted">
          {shown.length} of {sources.length} sources
        </span>
        <CsvButton name="evals" rows={shown.map(flat)} />
      </div>
      <div className={css.scroll} tabIndex={0} role="region" aria-label="All evaluations">
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">Source</th>
              {metrics.map((name) => (
                <th key={name} scope="col" className="number">
                  {inert(name, 60)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((each) => (
              <tr key={`${each.model}/${each.source}`}>
                <th scope="row">
                  <Link className="link" to={sourcePath(each.model, each.source)}>
                    {inert(`${each.model}/${each.source}`, 100)}
                  </Link>
                </th>
                {metrics.map((name) => (
                  <td key={name} className="number">
                    {each.values.get(name)?.toPrecision(4) ?? "–"}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly string[];
  readonly any?: string;
  readonly onChange: (value: string) => void;
}

function Choice({ label, value, options, any, onChange }: ChoiceProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select className="select" value={value} onChange={(event) => onChange(event.target.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {options.map((option) => (
          <option key={option} value={option}>
            {inert(option, 60)}
          </option>
        ))}
      </select>
    </label>
  );
}

function flat(source: EvaluatedSource): Record<string, unknown> {
  return { model_id: source.model, source_id: source.source, ...Object.fromEntries(source.values) };
}
