/**
 * What a lens shows as a grid: layers, the last first, by tokens.
 */
import type { LensKind, SharedReading } from "@/api/lens.ts";
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

/** A shared reading under one of its lenses. */
export function gridOfReading({ meta, tokens }: SharedReading, kind: LensKind): LensGrid {
  const layers = meta.layers_by_type[kind] ?? [];
  const rows = tokens.flatMap(({ position, token, results }) => {
    const shown = results.find(({ type }) => type === kind);
    return layers.flatMap((layer, at) =>
      (shown?.top_tokens[at] ?? []).map((next, place): LensRow => ({ layer, position, token, rank: place + 1, next_token: next, probability: shown?.top_probs[at]?.[place] ?? 0 })),
    );
  });
  return lensGrid(rows);
}
