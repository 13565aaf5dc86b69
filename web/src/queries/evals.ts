/**
 * Evaluations of sources.
 */
import { query } from "@/api/sql.ts";

export interface EvalRow {
  model_id: string;
  source_id: string;
  set_id: string | null;
  layer: number | null;
  architecture: string | null;
  d_sae: number | null;
  metric: string;
  value: number;
  n_tokens: number | null;
}

export const EVALS = query<EvalRow>(`
  SELECT e.model_id, e.source_id, s.set_id, s.layer, s.architecture, s.d_sae, e.metric, e.value, e.n_tokens
  FROM evals e LEFT JOIN sources s ON s.model_id = e.model_id AND s.source_id = e.source_id
  ORDER BY e.model_id, e.source_id, e.metric`);
