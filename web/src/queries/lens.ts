/**
 * Lenses over a text: the logit lens, and a model's Jacobian lens where one was added.
 */
import { query } from "@/api/sql.ts";

export interface LensRow {
  layer: number;
  position: number;
  token: string;
  rank: number;
  next_token: string;
  probability: number;
}

/** By the names that `logit_lens` knows them by. */
export type LensName = "logit" | "jacobian";

/** $1 model, $2 text, $3 lens, $4 whether only words are shown. */
export const THROUGH_LENS = query<LensRow>(`
  SELECT layer, position, token, rank, next_token, probability
  FROM logit_lens($1, $2, top_k => 5, lens => $3, only_words => $4)
  ORDER BY layer, position, rank`);

/** $1 model. */
export const JACOBIAN_LENS = query<{ n_prompts: number | null }>("SELECT n_prompts FROM lenses WHERE model_id = $1");
