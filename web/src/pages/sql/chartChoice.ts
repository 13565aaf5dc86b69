/**
 * Which columns a chart draws, and how: what the address says, and where it says nothing or names a
 * column that is not there, what fits.
 */
import type { Column } from "@/api/sql.ts";

export const MARKS = { dot: "Dots", line: "Line", bar: "Bars", histogram: "Histogram" } as const;
export type Mark = keyof typeof MARKS;

export interface ChartChoice {
  readonly x: string | null;
  readonly y: string | null;
  readonly colour: string | null;
  readonly mark: Mark;
}

/** What stands for "none" where the address says so. */
const NONE = "-";

export function chartChoice(columns: readonly Column[], parameters: URLSearchParams): ChartChoice {
  const named = (name: string) => {
    const value = parameters.get(name);
    return columns.some((column) => column.name === value) ? value : null;
  };
  const numbers = columns.filter(({ type }) => isNumber(type)).map(({ name }) => name);
  const first = columns[0]?.name ?? null;
  const askedX = named("x");
  const askedY = named("y");
  const lastNumber = numbers.at(-1) ?? null;
  const x = askedX ?? (columns.length > 1 && first === lastNumber ? (numbers[0] ?? first) : first);
  const otherNumber = numbers.toReversed().find((name) => name !== x) ?? null;
  const y = parameters.get("y") === NONE ? null : (askedY ?? otherNumber);
  const asked = parameters.get("mark") as Mark | null;
  const mark = asked !== null && asked in MARKS ? asked : usualMark(columns, x, y);
  return { x, y, colour: named("colour"), mark: y === null && mark !== "histogram" && isNumber(typeOf(columns, x)) ? "histogram" : mark };
}

function usualMark(columns: readonly Column[], x: string | null, y: string | null): Mark {
  if (y === null) return "histogram";
  const type = typeOf(columns, x);
  if (isNumber(type)) return "dot";
  return type.startsWith("timestamp") || type === "date" ? "line" : "bar";
}

function typeOf(columns: readonly Column[], name: string | null): string {
  return columns.find((column) => column.name === name)?.type ?? "";
}

function isNumber(type: string): boolean {
  return /^(smallint|integer|bigint|real|double precision|numeric)$/.test(type);
}
