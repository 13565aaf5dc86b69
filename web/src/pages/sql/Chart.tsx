/**
 * An answer as a chart: columns for x, y and colour, and a mark, all in the address. Where nothing was
 * chosen, the first columns that fit are taken.
 */
import * as Plot from "@observablehq/plot";
import { useCallback } from "react";
import { useUrlState } from "@/app/urlState.ts";
import PlotFigure from "@/components/PlotFigure.tsx";
import { Reason } from "@/components/Status.tsx";
import { inert } from "@/lib/inert.ts";
import css from "./Chart.module.css";
import { chartChoice, MARKS, type Mark } from "./chartChoice.ts";
import type { Progress } from "./runStatement.ts";

/** Rows that are drawn: more than that is no picture any more. */
const MOST = 20_000;

export default function Chart({ progress: { columns, rows } }: { readonly progress: Progress }) {
  const [parameters, change] = useUrlState();
  const { x, y, colour, mark } = chartChoice(columns, parameters);
  const drawn = rows.length > MOST ? rows.slice(0, MOST) : rows;
  const options = useCallback(
    (width: number): Plot.PlotOptions => {
      const rowsDrawn = rows.length > MOST ? rows.slice(0, MOST) : rows;
      const read = (name: string | null) => {
        const at = columns.findIndex((column) => column.name === name);
        return at < 0 ? undefined : (row: Row) => plain(row[at]);
      };
      const channels = { x: read(x), y: read(y), stroke: read(colour), fill: read(colour) };
      const isSeries = colour !== null;
      return {
        height: Math.max(300, Math.min(460, width * 0.5)),
        marginLeft: 64,
        color: { legend: isSeries, ...colours(rowsDrawn, channels.stroke, isNumeric(columns, colour)) },
        x: { label: x, grid: mark === "dot", tickFormat: inertTick },
        y: { label: mark === "histogram" ? "count" : y, grid: true },
        marks: marksOf(mark, rowsDrawn, channels, isSeries),
      };
    },
    [columns, rows, x, y, colour, mark],
  );
  const names = columns.map(({ name }) => name);
  return (
    <div className={css.chart}>
      <div className={css.choices}>
        <Choice label="x" value={x} names={names} onChange={(next) => change({ x: next })} />
        <Choice label="y" value={y} names={names} none="count" onChange={(next) => change({ y: next })} />
        <Choice label="Colour" value={colour} names={names} none="one colour" onChange={(next) => change({ colour: next })} />
        <label className="field">
          <span>Mark</span>
          <select className="select" value={mark} onChange={(event) => change({ mark: event.target.value })}>
            {Object.entries(MARKS).map(([key, name]) => (
              <option key={key} value={key}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {x === null && <Reason>The answer has no column to draw.</Reason>}
      {rows.length > MOST && <Reason>The first {MOST.toLocaleString("en-US")} rows are drawn.</Reason>}
      {x !== null && <PlotFigure label={`${MARKS[mark]}: ${y ?? "count"} over ${x}, ${drawn.length} rows`} options={options} />}
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string | null;
  readonly names: readonly string[];
  readonly none?: string;
  readonly onChange: (name: string) => void;
}

function Choice({ label, value, names, none, onChange }: ChoiceProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select className="select" value={value ?? "-"} onChange={(event) => onChange(event.target.value)}>
        {none !== undefined && <option value="-">{none}</option>}
        {names.map((name, at) => (
          <option key={at} value={name}>
            {inert(name, 60)}
          </option>
        ))}
      </select>
    </label>
  );
}

type Row = readonly unknown[];
type Read = ((row: Row) => unknown) | undefined;

function marksOf(mark: Mark, rows: readonly Row[], { x, y, stroke, fill }: Record<"x" | "y" | "stroke" | "fill", Read>, isSeries: boolean): Plot.Markish[] {
  const one = "var(--accent)";
  const data = rows as Row[];
  const channel = (read: Read) => read as Plot.ChannelValueSpec;
  switch (mark) {
    case "line":
      return [Plot.lineY(data, { x: channel(x), y: channel(y), stroke: isSeries ? channel(stroke) : one, sort: channel(x), tip: true })];
    case "bar":
      return [Plot.barY(data, { x: channel(x), y: channel(y), fill: isSeries ? channel(fill) : one, tip: true }), Plot.ruleY([0])];
    case "histogram":
      return [Plot.rectY(data, Plot.binX({ y: "count" }, { x: channel(x), fill: isSeries ? channel(fill) : one, tip: true } as Plot.BinXInputs<Plot.RectYOptions>)), Plot.ruleY([0])];
    case "dot":
      return [Plot.dot(data, { x: channel(x), y: channel(y), r: 2.5, fill: isSeries ? channel(fill) : one, fillOpacity: 0.7, tip: true })];
  }
}

/** A ramp for numbers, ten colours for a few names, and a wheel of colours for more of them. */
function colours(rows: readonly Row[], read: Read, isNumber: boolean): Partial<Plot.ScaleOptions> {
  if (isNumber) return { scheme: "viridis" };
  const names = new Set(read === undefined ? [] : rows.map(read));
  return names.size <= 10 ? { scheme: "observable10" } : { type: "ordinal", scheme: "turbo" };
}

/** Lists and objects as text; times as times. */
function plain(value: unknown): unknown {
  if (typeof value === "string") return /^\d{4}-\d\d-\d\d[T ]/.test(value) ? new Date(value) : inert(value, 80);
  return typeof value === "object" && value !== null ? inert(JSON.stringify(value), 80) : value;
}

function inertTick(value: unknown): string {
  if (value instanceof Date) return value.toLocaleDateString();
  return typeof value === "number" ? value.toLocaleString("en-US") : inert(String(value), 24);
}

function isNumeric(columns: Progress["columns"], name: string | null): boolean {
  const type = columns.find((column) => column.name === name)?.type ?? "";
  return /int|real|double|numeric/.test(type) && !type.endsWith("[]");
}
