/**
 * What is in the database: models, source sets, sources, and how much of each.
 */
import { query } from "@/api/sql.ts";

export interface ModelRow {
  model_id: string;
  display_name: string | null;
  family: string | null;
  n_layers: number | null;
  d_model: number | null;
  n_heads: number | null;
  d_vocab: number | null;
  n_ctx: number | null;
  dtype: string | null;
  instruct: boolean | null;
  owner: string | null;
  website: string | null;
  weights_uri: string | null;
}

export const MODELS = query<ModelRow>(`
  SELECT model_id, display_name, family, n_layers, d_model, n_heads, d_vocab, n_ctx, dtype, instruct, owner, website,
         weights_uri
  FROM models ORDER BY weights_uri IS NULL, model_id`);

export interface SourceSetRow {
  model_id: string;
  set_id: string;
  kind: string | null;
  release_id: string | null;
  description: string | null;
  creator_name: string | null;
  urls: string[] | null;
}

export const SOURCE_SETS = query<SourceSetRow>(`
  SELECT model_id, set_id, kind, release_id, description, creator_name, urls FROM source_sets ORDER BY model_id, set_id`);

export interface SourceRow {
  model_id: string;
  source_id: string;
  set_id: string;
  layer: number | null;
  hook_point: string | null;
  architecture: string | null;
  d_sae: number | null;
  weights_uri: string | null;
  saelens_release: string | null;
  saelens_id: string | null;
  hf_repo: string | null;
  hf_folder: string | null;
  dataset: string | null;
  n_prompts: number | null;
  tokens_per_prompt: number | null;
  notes: string | null;
}

export const SOURCES = query<SourceRow>(`
  SELECT model_id, source_id, set_id, layer, hook_point, architecture, d_sae, weights_uri, saelens_release, saelens_id,
         hf_repo, hf_folder, dataset, n_prompts, tokens_per_prompt, notes
  FROM sources ORDER BY model_id, set_id, layer, source_id`);

export interface FeatureCountRow {
  model_id: string;
  source_id: string;
  features: number;
  dead: number;
  mean_density: number | null;
  mapped: number;
}

export const FEATURE_COUNTS = query<FeatureCountRow>(`
  SELECT model_id, source_id, count(*) AS features, count(*) FILTER (WHERE density = 0) AS dead,
         avg(density) AS mean_density, count(umap_x) AS mapped
  FROM features GROUP BY model_id, source_id`);

export interface ExplanationCountRow {
  model_id: string;
  source_id: string;
  explanations: number;
  explained: number;
}

export const EXPLANATION_COUNTS = query<ExplanationCountRow>(`
  SELECT model_id, source_id, count(*) AS explanations, count(DISTINCT index) AS explained
  FROM explanations GROUP BY model_id, source_id`);

export interface SizeRow {
  bytes: number | null;
}

export const DATABASE_SIZE = query<SizeRow>(`SELECT pg_database_size('latentdb') AS bytes`);

export interface TableCountRow {
  activations: number;
  contexts: number;
}

export const TABLE_COUNTS = query<TableCountRow>(`
  SELECT (SELECT count(*) FROM activations) AS activations, (SELECT count(*) FROM contexts) AS contexts`);

export interface SourceSettingsRow {
  settings: unknown;
}

export const SOURCE_SETTINGS = query<SourceSettingsRow>(
  `SELECT settings FROM sources WHERE model_id = $1 AND source_id = $2`,
);
