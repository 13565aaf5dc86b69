/**
 * What steering asks of the database: features' largest activations, vectors, runs that were kept.
 */
import { query } from "@/api/sql.ts";

export interface SavedRunRow {
  run_id: string;
  kind: string;
  model_id: string | null;
  request: string;
  created_at: string | null;
}

/** The latest runs of a model: $1 model. */
export const SAVED_RUNS = query<SavedRunRow>(`
  SELECT run_id, kind, model_id, request, created_at FROM saved_runs
  WHERE model_id = $1 AND kind IN ('steer', 'steer_chat') ORDER BY created_at DESC LIMIT 12`);

export interface VectorRow {
  vector_id: string;
  label: string | null;
  hook_point: string;
  default_strength: number | null;
}

/** The vectors of a model: $1 model. */
export const VECTORS = query<VectorRow>(`
  SELECT vector_id, label, hook_point, default_strength FROM vectors WHERE model_id = $1 ORDER BY created_at DESC NULLS LAST
  LIMIT 200`);

export interface MatchRow {
  source_id: string;
  index: number;
  description: string;
}

/** Explanations of a model with a text in them: $1 model, $2 text. */
export const EXPLAINED_WITH = query<MatchRow>(`
  SELECT source_id, index, description FROM explanations
  WHERE model_id = $1 AND description ILIKE '%' || $2::text || '%' ORDER BY source_id, index LIMIT 12`);

export interface PromotedRow {
  source_id: string;
  index: number;
  promotes: string[];
}

/** Features of a model that promote a token among others: $1 model, $2 the token, $3 the same with a blank before it. */
export const PROMOTES_AMONG = query<PromotedRow>(`
  SELECT source_id, index, top_logit_tokens[1:3] AS promotes FROM features
  WHERE model_id = $1 AND ($2::text = ANY(top_logit_tokens[1:3]) OR $3::text = ANY(top_logit_tokens[1:3]))
  ORDER BY top_logits[1] DESC LIMIT 12`);
