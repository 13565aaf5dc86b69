/**
 * The features of a source, all of them, in a table of which only the rows on screen exist.
 *
 * Sorting and filtering are the database's work and stand in the address. The strongest example of each
 * row is fetched for the rows that come to rest on screen.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Source } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { useUrlState } from "@/app/urlState.ts";
import { CsvButton } from "@/components/CsvButton.tsx";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { formatCount, plural } from "@/lib/format.ts";
import { type FeatureSort, featureTable, type FeatureRow } from "@/queries/features.ts";
import { FeatureTableRow } from "./FeatureTableRow.tsx";
import css from "./FeatureTable.module.css";
import { FilterBar } from "./FilterBar.tsx";
import { filterParameters, isFiltered, readFilters } from "./filters.ts";
import { useSnippets } from "./useSnippets.ts";

const ROW = 42;

const COLUMNS: ReadonlyArray<readonly [sort: FeatureSort | null, name: string, first: "asc" | "desc", area: string]> = [
  ["index", "Index", "asc", "number"],
  ["label", "Label", "asc", ""],
  ["density", "Density", "desc", "number"],
  ["max", "Max", "desc", "number"],
  ["score", "Score", "desc", "number"],
  [null, "Strongest example", "asc", ""],
];

export function FeatureTable({ source }: { readonly source: Source }) {
  const { model_id: model, source_id: id } = source;
  const [parameters] = useUrlState();
  const filters = useMemo(() => readFilters(parameters), [parameters]);
  const { data, error, isPlaceholderData, refetch } = useQuery({
    queryKey: ["features", model, id, filters],
    queryFn: ({ signal }) => select(featureTable(filters.sort, filters.descending), [model, id, ...filterParameters(filters)], signal),
    placeholderData: keepPreviousData,
  });
  return (
    <section aria-label="Features">
      <FilterBar>
        {data !== undefined && (
          <>
            <span aria-live="polite">
              {isFiltered(filters) ? `${formatCount(data.length)} of ${plural(source.features, "feature")}` : plural(data.length, "feature")}
            </span>
            <CsvButton name={`${model}-${id}`} rows={data} />
          </>
        )}
      </FilterBar>
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : data === undefined ? (
        <Skeleton lines={16} height={24} />
      ) : data.length === 0 ? (
        <Empty title={isFiltered(filters) ? "No feature passes these filters" : "This source has no features yet"}>
          {!isFiltered(filters) && <p>Make their dashboards under Data, or import them.</p>}
        </Empty>
      ) : (
        <Rows source={source} rows={data} isOld={isPlaceholderData} sort={filters.sort} descending={filters.descending} />
      )}
    </section>
  );
}

interface RowsProps {
  readonly source: Source;
  readonly rows: readonly FeatureRow[];
  readonly isOld: boolean;
  readonly sort: FeatureSort;
  readonly descending: boolean;
}

function Rows({ source, rows, isOld, sort, descending }: RowsProps) {
  const [, change] = useUrlState();
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    if (list.current !== null) setTop(list.current.getBoundingClientRect().top + window.scrollY);
  }, []);
  const virtualizer = useWindowVirtualizer({ count: rows.length, estimateSize: () => ROW, overscan: 6, scrollMargin: top, useFlushSync: false });
  const items = virtualizer.getVirtualItems();
  const snippets = useSnippets(source, rows, items[0]?.index ?? 0, items.at(-1)?.index ?? 0, virtualizer.isScrolling);
  const densest = useMemo(() => rows.reduce((most, row) => Math.max(most, row.density ?? 0), 0), [rows]);
  return (
    <div role="table" aria-label="Features" aria-rowcount={rows.length + 1} aria-busy={isOld} className={css.table}>
      <div role="rowgroup" className={css.head}>
        <div role="row" aria-rowindex={1} className={css.row}>
          {COLUMNS.map(([column, name, first, area]) => (
            <div
              key={name}
              role="columnheader"
              className={`${css.cell} ${area}`}
              aria-sort={column === sort ? (descending ? "descending" : "ascending") : undefined}
            >
              {column === null ? (
                name
              ) : (
                <button
                  type="button"
                  onClick={() => {
                    const isDescending = column === sort ? !descending : first === "desc";
                    change({ sort: column === "index" ? null : column, order: isDescending ? "desc" : null });
                  }}
                >
                  {name}
                  {column === sort && (descending ? <ArrowDown size={12} aria-hidden /> : <ArrowUp size={12} aria-hidden />)}
                </button>
              )}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" ref={list} className={css.body} style={{ height: virtualizer.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <FeatureTableRow
              key={row.index}
              row={row}
              model={source.model_id}
              source={source.source_id}
              snippet={snippets.get(row.index)}
              densest={densest}
              position={item.index + 2}
              offset={item.start - top}
            />
          );
        })}
      </div>
    </div>
  );
}
