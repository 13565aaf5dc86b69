/**
 * The logit lens over a text.
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

/** $1 model, $2 text. */
export const LOGIT_LENS = query<LensRow>(`
  SELECT layer, position, token, rank, next_token, probability FROM logit_lens($1, $2, top_k => 5)
  ORDER BY layer, position, rank`);
