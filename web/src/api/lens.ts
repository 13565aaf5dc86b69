/**
 * Readings under lenses that are shared: `/api/lens/share` makes and keeps them, in the shape of
 * Neuronpedia's export.
 */
import { sendJson } from "./http.ts";

export type LensKind = "LOGIT_LENS" | "JACOBIAN_LENS";

/** What a lens shows at a position: by layer, the likeliest tokens and their probabilities. */
export interface LensResult {
  readonly type: LensKind;
  readonly top_tokens: readonly (readonly string[])[];
  readonly top_probs: readonly (readonly number[])[];
}

export interface SharedReading {
  readonly modelId: string;
  readonly description: string | null;
  readonly exportedAt: string;
  readonly prompt: string | null;
  readonly meta: { readonly types: readonly LensKind[]; readonly layers_by_type: Readonly<Partial<Record<LensKind, readonly number[]>>> };
  readonly tokens: readonly { readonly position: number; readonly token: string; readonly results: readonly LensResult[] }[];
}

interface Reading {
  readonly model: string;
  readonly text: string;
  readonly onlyWords: boolean;
}

/** Keeps a reading under all lenses of the model; gives the path of its page. */
export async function shareReading({ model, text, onlyWords }: Reading): Promise<string> {
  const body = { modelId: model, prompt: text, topN: 5, numCompletionTokens: 0, filterNonWordTokens: onlyWords };
  return (await sendJson<{ path: string }>("/api/lens/share", { body })).path;
}

export function sharedReading(id: string, signal?: AbortSignal): Promise<SharedReading> {
  return sendJson<SharedReading>(`/api/lens/share/${encodeURIComponent(id)}`, { signal });
}
