/**
 * The page of a model: its shape, its source sets and sources, and what can be done with it.
 */
import { Link, useParams, useSearchParams, Navigate } from "react-router";
import { findModel, isLive, modelName, useRegistry, type Model } from "@/api/registry.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Breadcrumbs } from "@/components/Breadcrumbs.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { formatCount } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import css from "./ModelPage.module.css";
import { SourceTable } from "./SourceTable.tsx";

export default function ModelPage() {
  const { model: id = "" } = useParams();
  const [parameters] = useSearchParams();
  const { data: registry, error, refetch } = useRegistry();
  useTitle(id);
  const model = findModel(registry, id);
  const text = parameters.get("q");
  // Neuronpedia's links to searches by text have this form.
  if (text !== null) return <Navigate to={`/search?${searchParameters(id, parameters)}`} replace />;
  return (
    <div className="page">
      <Breadcrumbs model={id} />
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : registry === undefined ? (
        <Skeleton lines={12} height={22} />
      ) : model === undefined ? (
        <Empty title={`There is no model ${inert(id, 120)} in this database`}>
          <p>
            <Link to="/">See what it has</Link> or <Link to="/data">add it</Link>
          </p>
        </Empty>
      ) : (
        <Known model={model} />
      )}
    </div>
  );
}

function Known({ model }: { readonly model: Model }) {
  const id = model.model_id;
  const facts: ReadonlyArray<readonly [string, string | null]> = [
    ["Family", model.family],
    ["Layers", model.n_layers?.toString() ?? null],
    ["Width", model.d_model === null ? null : formatCount(model.d_model)],
    ["Heads", model.n_heads?.toString() ?? null],
    ["Vocabulary", model.d_vocab === null ? null : formatCount(model.d_vocab)],
    ["Context", model.n_ctx === null ? null : formatCount(model.n_ctx)],
    ["Numbers", model.dtype],
    ["Owner", model.owner],
  ];
  const to = (path: string, extra: Record<string, string> = {}) => `${path}?${new URLSearchParams({ model: id, ...extra })}`;
  return (
    <>
      <header className={css.header}>
        <h1 className="label-text">{inert(modelName(model), 120)}</h1>
        <dl className={css.facts}>
          {facts.map(
            ([name, value]) =>
              value !== null && (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd className="label-text">{inert(value, 80)}</dd>
                </div>
              ),
          )}
        </dl>
        <div className="row">
          <Link className="button" to={to("/search", { mode: "label" })}>
            Search explanations
          </Link>
          {isLive(model) && (
            <>
              <Link className="button" to={to("/search", { mode: "text" })}>
                Search by text
              </Link>
              <Link className="button" to={to("/steer")}>
                Steer
              </Link>
              <Link className="button" to={to("/lens")}>
                Logit lens
              </Link>
            </>
          )}
        </div>
        {!isLive(model) && (
          <Reason>
            The weights of this model are not here: its dashboards can be read and searched, but no text can be run through it. Add them under{" "}
            <Link className="link" to="/data">
              Data
            </Link>
            .
          </Reason>
        )}
      </header>
      {model.sets.map((set) => (
        <SourceTable key={set.set_id} set={set} />
      ))}
      {model.sets.length === 0 && (
        <Empty title="This model has no sources yet">
          <p>
            <Link to="/data">Add one, or import its dashboards</Link>
          </p>
        </Empty>
      )}
    </>
  );
}

/** `sourceSet`, `selectedLayers` and `sortIndexes` of Neuronpedia's links, in this app's names. */
function searchParameters(model: string, parameters: URLSearchParams): URLSearchParams {
  const after = new URLSearchParams({ mode: "text", model, q: parameters.get("q") ?? "" });
  const set = parameters.get("sourceSet");
  if (set !== null) after.set("set", set);
  for (const [theirs, ours] of [
    ["selectedLayers", "source"],
    ["sortIndexes", "at"],
  ] as const) {
    try {
      const list: unknown = JSON.parse(parameters.get(theirs) ?? "[]");
      if (Array.isArray(list)) for (const each of list) after.append(ours, String(each));
    } catch {
      // A list that cannot be read narrows nothing.
    }
  }
  return after;
}
