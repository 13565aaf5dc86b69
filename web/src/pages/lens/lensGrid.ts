/**
 * The rows of the logit lens as a grid: layers, the last first, by tokens.
 */
import type { LensRow } from "@/queries/lens.ts";

export interface LensGrid {
  readonly layers: readonly number[];
  readonly tokens: readonly string[];
  /** By `layer/position`: the likeliest tokens, best first. */
  readonly cells: ReadonlyMap<string, readonly LensRow[]>;
}

export function lensGrid(rows: readonly LensRow[]): LensGrid {
  const cells = new Map<string, LensRow[]>();
  const tokens: string[] = [];
  const layers = new Set<number>();
  for (const row of rows) {
    const key = `${row.layer}/${row.position}`;
    cells.set(key, [...(cells.get(key) ?? []), row]);
    tokens[row.position] = row.token;
    layers.add(row.layer);
  }
  return { layers: [...layers].sort((a, b) => b - a), tokens: Array.from(tokens, (token) => token ?? ""), cells };
}
