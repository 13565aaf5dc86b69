/**
 * The rows of an answer in a table of which only what is on screen exists. Where rows name a feature,
 * its index is a link to it.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import { FeatureLink } from "@/components/FeatureLink.tsx";
import type { FeatureAddress } from "@/lib/address.ts";
import { inert } from "@/lib/inert.ts";
import css from "./ResultTable.module.css";
import type { Progress } from "./runStatement.ts";

const ROW = 30;
const LONGEST = 240;
const NUMBERS = new Set(["smallint", "integer", "bigint", "real", "double precision", "numeric", "oid"]);

export function ResultTable({ progress: { columns, rows } }: { readonly progress: Progress }) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({ count: rows.length, estimateSize: () => ROW, overscan: 16, getScrollElement: () => scroller.current });
  const addressOf = addressReader(columns.map(({ name }) => name));
  const indexColumn = columns.findIndex(({ name }) => name === "index");
  const template = `56px ${columns.map(({ type }) => width(type)).join(" ")}`;
  return (
    <div ref={scroller} data-flush className={css.scroller} tabIndex={0} role="region" aria-label="Rows">
      <div role="table" aria-label="Rows" aria-rowcount={rows.length + 1} className={css.table} style={{ "--columns": template } as React.CSSProperties}>
        <div role="rowgroup" className={css.head}>
          <div role="row" className={css.row} aria-rowindex={1}>
            <span role="columnheader">
              <span className="visually-hidden">Row</span>
            </span>
            {columns.map(({ name, type }, at) => (
              <span key={at} role="columnheader" title={type} className={NUMBERS.has(type) ? "number" : undefined}>
                {inert(name, 80)} <small>{type}</small>
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" className={css.body} style={{ height: virtualizer.getTotalSize() }}>
          {virtualizer.getVirtualItems().map((item) => {
            const row = rows[item.index] ?? [];
            const address = addressOf(row);
            return (
              <div key={item.index} role="row" aria-rowindex={item.index + 2} className={`${css.row} ${css.placed}`} style={{ transform: `translateY(${item.start}px)` }}>
                <span role="cell" className={css.place}>
                  {item.index + 1}
                </span>
                {columns.map(({ type }, at) => (
                  <span key={at} role="cell" className={NUMBERS.has(type) ? "number" : undefined}>
                    {at === indexColumn && address !== null ? (
                      <FeatureLink address={address}>{String(row[at])}</FeatureLink>
                    ) : (
                      <Value value={row[at]} />
                    )}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {rows.length === 0 && <p className={css.none}>No rows</p>}
    </div>
  );
}

function Value({ value }: { readonly value: unknown }) {
  if (value === null || value === undefined) return <span className={css.null}>null</span>;
  const text = typeof value === "string" ? value : typeof value === "object" ? JSON.stringify(value) : String(value);
  const shown = typeof value === "number" ? short(value) : inert(text, LONGEST);
  return (
    <span className="label-text" title={text.length > 40 || shown !== text ? inert(text) : undefined}>
      {shown}
    </span>
  );
}

/** A number with as many places as a column has room for. */
function short(value: number): string {
  return Number.isInteger(value) ? value.toString() : Number(value.toPrecision(6)).toString();
}

function width(type: string): string {
  if (NUMBERS.has(type) || type === "boolean") return "minmax(110px, 0.6fr)";
  return type.endsWith("[]") || type === "json" ? "minmax(220px, 1.6fr)" : "minmax(150px, 1.2fr)";
}

/** How a row's feature is read, where the columns name one. */
function addressReader(names: readonly string[]): (row: readonly unknown[]) => FeatureAddress | null {
  const [model, source, index] = ["model_id", "source_id", "index"].map((name) => names.indexOf(name));
  return (row) => {
    const values = [row[model ?? -1], row[source ?? -1], row[index ?? -1]];
    const [m, s, i] = values;
    return typeof m === "string" && typeof s === "string" && typeof i === "number" ? { model: m, source: s, index: i } : null;
  };
}
