/**
 * Searches through the server's documented endpoints: explanations by meaning or words, features by a
 * text run through the model, and features token by token.
 */
import { answered, client, type Schemas } from "./client.ts";

export type ExplanationMode = "meaning" | "words" | "both";

export interface ExplanationScope {
  readonly model: string | null;
  readonly sources: readonly string[];
  readonly release: string | null;
}

/** What features and explanations must be like: shares of tokens, and the mean of an explanation's scores. */
export interface ExplanationFilters {
  readonly maxDensity?: number;
  readonly minScore?: number;
}

export type ExplanationHit = Schemas["FoundExplanation"];
export type ExplanationPage = Schemas["Page"];

export function searchExplanations(
  query: string,
  mode: ExplanationMode,
  scope: ExplanationScope,
  filters: ExplanationFilters,
  offset: number,
  signal?: AbortSignal,
): Promise<ExplanationPage> {
  const asked = { query, mode, offset, ...filters };
  const options = <Body>(body: Body) => ({ body, signal: signal ?? null });
  const { model, sources, release } = scope;
  if (model !== null && sources.length > 0) return answered(client.POST("/api/explanation/search", options({ ...asked, modelId: model, layers: [...sources] })));
  if (model !== null) return answered(client.POST("/api/explanation/search-model", options({ ...asked, modelId: model })));
  if (release !== null) return answered(client.POST("/api/explanation/search-release", options({ ...asked, releaseName: release })));
  return answered(client.POST("/api/explanation/search-all", options(asked)));
}

export type TextHit = Schemas["FiringFeature"];
export type TextAnswer = Schemas["TextFeatures"];

export interface TextSearch {
  readonly model: string;
  readonly sourceSet: string;
  readonly sources: readonly string[];
  readonly text: string;
  readonly sortIndexes: readonly number[];
  readonly ignoreBos: boolean;
  readonly densityThreshold: number;
  readonly count: number;
}

export async function searchByText(search: TextSearch, signal?: AbortSignal): Promise<TextAnswer> {
  const body = {
    modelId: search.model,
    sourceSet: search.sourceSet,
    selectedLayers: [...search.sources],
    text: search.text,
    sortIndexes: [...search.sortIndexes],
    ignoreBos: search.ignoreBos,
    densityThreshold: search.densityThreshold,
    numResults: search.count,
  };
  return (await answered(client.POST("/api/search-all", { body, signal: signal ?? null }))) as TextAnswer;
}

export type TokenPosition = Schemas["TokenFeatures"];
export type TokenAnswer = Schemas["FeaturesByToken"];

export interface TokenSearch {
  readonly model: string;
  readonly source: string;
  readonly text: string;
  readonly ignoreBos: boolean;
  readonly densityThreshold: number;
  readonly count: number;
}

export async function searchByToken(search: TokenSearch, signal?: AbortSignal): Promise<TokenAnswer> {
  const body = {
    modelId: search.model,
    source: search.source,
    text: search.text,
    numResults: search.count,
    ignoreBos: search.ignoreBos,
    densityThreshold: search.densityThreshold,
  };
  return (await answered(client.POST("/api/search-topk-by-token", { body, signal: signal ?? null }))) as TokenAnswer;
}
