/**
 * Features in rows: the table of a source, what hover cards show, neighbours, the map.
 */
import { query } from "@/api/sql.ts";

/** Best explanation of each feature: with the highest score, then the newest. */
const BEST_EXPLANATION = `
  SELECT e.model_id, e.source_id, e.index,
         first_value(e.description ORDER BY s.value DESC NULLS LAST, e.created_at DESC NULLS LAST) AS description,
         max(s.value) AS score, count(DISTINCT e.explanation_id) AS explanations
  FROM explanations e LEFT JOIN explanation_scores s ON s.explanation_id = e.explanation_id`;

export interface FeatureRow {
  index: number;
  density: number | null;
  max_activation: number | null;
  promotes: string[] | null;
  description: string | null;
  score: number | null;
}

/** Columns that the table of a source sorts by. */
export const FEATURE_SORTS = {
  index: "f.index",
  density: "f.density",
  max: "f.max_activation",
  score: "e.score",
  label: "e.description",
  logit: "f.top_logits[1]",
} as const;

export type FeatureSort = keyof typeof FEATURE_SORTS;

/** Rows of one answer at most: beyond, filters narrow. */
export const MOST_FEATURES = 100_000;

/** $1 model, $2 source, $3 text in the label, $4 and $5 densities, $6 least maximum, $7 least score, $8 dead, $9 labelled */
export function featureTable(sort: FeatureSort, descending: boolean) {
  const order = `${FEATURE_SORTS[sort]} ${descending ? "DESC" : "ASC"} NULLS LAST`;
  return query<FeatureRow>(`
  SELECT f.index, f.density, f.max_activation, f.top_logit_tokens[1:4] AS promotes, e.description, e.score
  FROM features f LEFT JOIN (${BEST_EXPLANATION}
    WHERE e.model_id = $1::text AND e.source_id = $2::text GROUP BY e.model_id, e.source_id, e.index) e ON f.index = e.index
  WHERE f.model_id = $1::text AND f.source_id = $2::text
    AND ($3::text IS NULL OR e.description ILIKE '%' || $3::text || '%' OR $3::text = ANY(f.top_logit_tokens))
    AND ($4::double precision IS NULL OR f.density >= $4::double precision)
    AND ($5::double precision IS NULL OR f.density <= $5::double precision)
    AND ($6::double precision IS NULL OR f.max_activation >= $6::double precision)
    AND ($7::double precision IS NULL OR e.score >= $7::double precision)
    AND ($8::boolean IS NULL OR (f.density = 0 OR f.density IS NULL) = $8::boolean)
    AND ($9::boolean IS NULL OR (e.description IS NOT NULL) = $9::boolean)
  ORDER BY ${order}, f.index LIMIT ${MOST_FEATURES}`);
}

export interface SnippetRow {
  model_id: string;
  source_id: string;
  index: number;
  tokens: string[];
  acts: number[];
  max_value: number;
  max_position: number | null;
}

/** The strongest example of some features of one source: $1 model, $2 source, $3 indices. */
export const SNIPPETS = query<SnippetRow>(`
  SELECT model_id, source_id, index, tokens, acts, max_value, max_position FROM activation_records
  WHERE model_id = $1 AND source_id = $2 AND index = ANY($3) AND rank = 0`);

/** The strongest examples of one feature: $1 model, $2 source, $3 index. */
export const EXAMPLES = query<SnippetRow>(`
  SELECT model_id, source_id, index, tokens, acts, max_value, max_position FROM activation_records
  WHERE model_id = $1 AND source_id = $2 AND index = $3 ORDER BY max_value DESC, rank LIMIT 3`);

export interface SummaryRow {
  source_id: string;
  index: number;
  density: number | null;
  max_activation: number | null;
  promotes: string[] | null;
  suppresses: string[] | null;
  description: string | null;
}

/** Some features of one source: $1 model, $2 source, $3 indices. */
export const SUMMARIES = query<SummaryRow>(`
  SELECT f.source_id, f.index, f.density, f.max_activation, f.top_logit_tokens[1:5] AS promotes,
         f.bottom_logit_tokens[1:5] AS suppresses, e.description
  FROM features f LEFT JOIN (${BEST_EXPLANATION}
    WHERE e.model_id = $1::text AND e.source_id = $2::text AND e.index = ANY($3::int[])
    GROUP BY e.model_id, e.source_id, e.index) e ON f.index = e.index
  WHERE f.model_id = $1::text AND f.source_id = $2::text AND f.index = ANY($3::int[])`);

export interface NearestRow {
  nearest_indices: number[] | null;
  nearest_cosines: number[] | null;
  nearest_sources: (string | null)[] | null;
  nearest_source_id: string | null;
  nearest_model_id: string | null;
}

export const NEAREST = query<NearestRow>(`
  SELECT f.nearest_indices, f.nearest_cosines, f.nearest_sources, s.nearest_source_id, s.nearest_model_id
  FROM features f LEFT JOIN sources s ON s.model_id = f.model_id AND s.source_id = f.source_id
  WHERE f.model_id = $1 AND f.source_id = $2 AND f.index = $3`);

export interface MapRow {
  index: number;
  umap_x: number;
  umap_y: number;
  umap_cluster: number | null;
  density: number | null;
  promotes: string | null;
  description: string | null;
}

export const MAP = query<MapRow>(`
  SELECT f.index, f.umap_x, f.umap_y, f.umap_cluster, f.density, f.top_logit_tokens[1] AS promotes, e.description
  FROM features f LEFT JOIN (${BEST_EXPLANATION}
    WHERE e.model_id = $1::text AND e.source_id = $2::text GROUP BY e.model_id, e.source_id, e.index) e ON f.index = e.index
  WHERE f.model_id = $1::text AND f.source_id = $2::text AND f.umap_x IS NOT NULL AND f.umap_y IS NOT NULL
  ORDER BY f.index`);

export interface DistributionRow {
  bucket: number;
  features: number;
}

/** Features by tenths of a decade of density. */
export const DENSITIES = query<DistributionRow>(`
  SELECT floor(log10(density) * 5) / 5 AS bucket, count(*) AS features FROM features
  WHERE model_id = $1 AND source_id = $2 AND density > 0 GROUP BY bucket ORDER BY bucket`);

export const MAXIMA = query<DistributionRow>(`
  SELECT floor(max_activation / $3::double precision) * $3::double precision AS bucket, count(*) AS features FROM features
  WHERE model_id = $1 AND source_id = $2 AND max_activation > 0 GROUP BY bucket ORDER BY bucket`);

export interface LargestRow {
  most: number | null;
}

export const LARGEST = query<LargestRow>(
  `SELECT max(max_activation) AS most FROM features WHERE model_id = $1 AND source_id = $2`,
);

export interface TokenHitRow {
  model_id: string;
  source_id: string;
  index: number;
  logit: number;
  promotes: string[];
}

/** Features that promote a token most: $1 the token, $2 the same with a blank before it. */
export const PROMOTES_TOKEN = query<TokenHitRow>(`
  SELECT model_id, source_id, index, top_logits[1] AS logit, top_logit_tokens[1:4] AS promotes FROM features
  WHERE top_logit_tokens[1] = $1 OR top_logit_tokens[1] = $2 ORDER BY top_logits[1] DESC LIMIT 20`);

/** Features whose firing moves a word's logit most, of those that are neither rare nor common: $1 model. */
export const SUGGESTIONS = query<TokenHitRow>(`
  SELECT model_id, source_id, index, top_logits[1] AS logit, top_logit_tokens[1:4] AS promotes FROM features
  WHERE model_id = $1 AND density BETWEEN 0.0005 AND 0.02 AND max_activation > 0
    AND top_logit_tokens[1] ~ '^ [A-Za-z]{4,}$' AND top_logit_tokens[2] ~ '^ ?[A-Za-z]{3,}$'
  ORDER BY top_logits[1] * max_activation DESC NULLS LAST LIMIT 14`);
