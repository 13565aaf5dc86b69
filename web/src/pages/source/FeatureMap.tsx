/**
 * The features of a source in the plane: near ones have similar directions or similar explanations.
 *
 * Wheel and drag move the map; a drag with Shift, or in lasso mode, draws around features, which the
 * list then shows. The list is the way in for the keyboard: it has every feature of the map.
 */
import { useQuery } from "@tanstack/react-query";
import { Lasso, Maximize } from "lucide-react";
import { useMemo, useState } from "react";
import type { Source } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { useUrlState } from "@/app/urlState.ts";
import { FeatureLink } from "@/components/FeatureLink.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { plural } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { quickListPath } from "@/lib/quickList.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import { MAP, type MapRow } from "@/queries/features.ts";
import { Link } from "react-router";
import css from "./FeatureMap.module.css";
import { MapCanvas } from "./MapCanvas.tsx";

const LISTED = 150;

export default function FeatureMap({ source }: { readonly source: Source }) {
  const { model_id: model, source_id: id } = source;
  const [parameters, change] = useUrlState();
  const { data, error, refetch } = useQuery({
    queryKey: ["map", model, id],
    queryFn: ({ signal }) => select(MAP, [model, id], signal),
  });
  const [isLasso, setLasso] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<number> | null>(null);
  const [resets, setResets] = useState(0);
  const [text, setText] = useState("");
  const colour = parameters.get("colour") === "density" ? "density" : "cluster";
  const matching = useMemo(() => matches(data ?? [], text, chosen), [data, text, chosen]);

  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Skeleton lines={14} height={24} />;
  if (data.length === 0) {
    return (
      <Empty title="These features have no places yet">
        <p>
          <code>CALL layout_features('{inert(model, 60)}', '{inert(id, 60)}')</code> gives them some. Run it under Data.
        </p>
      </Empty>
    );
  }
  const isNarrowed = text !== "" || chosen !== null;
  return (
    <section aria-label="Map of features" className={css.map}>
      <div className={css.plane}>
        <div className={css.tools}>
          <Segments
            name="Colour"
            value={colour}
            options={[
              ["cluster", "Cluster"],
              ["density", "Density"],
            ]}
            onChange={(next) => change({ colour: next === "cluster" ? null : next })}
          />
          <button type="button" className="button small" aria-pressed={isLasso} onClick={() => setLasso(!isLasso)}>
            <Lasso size={14} aria-hidden /> Lasso
          </button>
          <button
            type="button"
            className="button small"
            onClick={() => {
              setResets(resets + 1);
              setChosen(null);
            }}
          >
            <Maximize size={13} aria-hidden /> Whole map
          </button>
        </div>
        <MapCanvas
          key={resets}
          rows={data}
          shown={isNarrowed ? new Set(matching.map((row) => row.index)) : null}
          colour={colour}
          isLasso={isLasso}
          model={model}
          source={id}
          onChoose={(indices) => setChosen(indices)}
        />
      </div>
      <aside className={css.list} aria-label="Features of the map">
        <input className="input" type="search" data-search aria-label="Filter the map" placeholder="Filter" value={text} onChange={(event) => setText(event.target.value)} />
        <p className={css.count} aria-live="polite">
          <span>{isNarrowed ? `${matching.length} of ${plural(data.length, "feature")}` : plural(data.length, "feature")}</span>
          {chosen !== null && matching.length > 0 && (
            <Link
              className="link"
              to={quickListPath({ name: `${matching.length} features of ${id}`, features: matching.slice(0, LISTED).map((row) => ({ model, source: id, index: row.index })) })}
            >
              As a list
            </Link>
          )}
        </p>
        <ul>
          {matching.slice(0, LISTED).map((row) => (
            <li key={row.index}>
              <FeatureLink address={{ model, source: id, index: row.index }} className={css.item}>
                <span className="label-text">{row.description ? inert(row.description, 90) : <code>{tokenAlone(row.promotes ?? "")}</code>}</span>
                <span className="muted">{row.index}</span>
              </FeatureLink>
            </li>
          ))}
          {matching.length > LISTED && <li className="muted">and {matching.length - LISTED} more; narrow the filter to see them</li>}
        </ul>
      </aside>
    </section>
  );
}

function matches(rows: readonly MapRow[], text: string, chosen: ReadonlySet<number> | null): MapRow[] {
  const wanted = text.toLowerCase();
  return rows.filter(
    (row) =>
      (chosen === null || chosen.has(row.index)) &&
      (wanted === "" || row.description?.toLowerCase().includes(wanted) || row.promotes?.toLowerCase().includes(wanted) || row.index.toString() === wanted),
  );
}
