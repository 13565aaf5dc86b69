/**
 * Evaluations by source: a row per metric becomes a source with all its metrics.
 */
import type { EvalRow } from "@/queries/evals.ts";

export interface EvaluatedSource {
  readonly model: string;
  readonly source: string;
  readonly set: string;
  readonly layer: number | null;
  readonly values: ReadonlyMap<string, number>;
}

export interface EvalTable {
  readonly sources: readonly EvaluatedSource[];
  readonly metrics: readonly string[];
}

export function evaluatedSources(rows: readonly EvalRow[]): EvalTable {
  const sources = new Map<string, EvaluatedSource & { values: Map<string, number> }>();
  const metrics = new Set<string>();
  for (const row of rows) {
    const key = `${row.model_id}/${row.source_id}`;
    const known = sources.get(key) ?? { model: row.model_id, source: row.source_id, set: row.set_id ?? "", layer: row.layer, values: new Map() };
    known.values.set(row.metric, row.value);
    metrics.add(row.metric);
    sources.set(key, known);
  }
  return { sources: [...sources.values()], metrics: [...metrics] };
}
