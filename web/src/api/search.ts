/**
 * Searches through the server's documented endpoints: explanations by meaning or words, features by a
 * text run through the model, and features token by token.
 */
import { sendJson } from "./http.ts";
import { type FeatureRecord } from "./feature.ts";

export type ExplanationMode = "meaning" | "words" | "both";

export interface ExplanationScope {
  readonly model: string | null;
  readonly sources: readonly string[];
  readonly release: string | null;
}

export interface ExplanationHit {
  readonly id: string;
  readonly modelId: string;
  readonly layer: string;
  readonly index: string;
  readonly description: string;
  readonly explanationModelName: string | null;
  readonly typeName: string | null;
  readonly cosine_similarity: number | null;
  readonly score: number | null;
  readonly neuron: FeatureRecord | null;
}

export interface ExplanationPage {
  readonly results: readonly ExplanationHit[];
  readonly hasMore: boolean;
  readonly nextOffset?: number;
}

export function searchExplanations(
  query: string,
  mode: ExplanationMode,
  scope: ExplanationScope,
  offset: number,
  signal?: AbortSignal,
): Promise<ExplanationPage> {
  const [path, named] = endpoint(scope);
  return sendJson<ExplanationPage>(path, { body: { query, mode, offset, ...named }, signal });
}

function endpoint({ model, sources, release }: ExplanationScope): [string, object] {
  if (model !== null && sources.length > 0) return ["/api/explanation/search", { modelId: model, layers: sources }];
  if (model !== null) return ["/api/explanation/search-model", { modelId: model }];
  if (release !== null) return ["/api/explanation/search-release", { releaseName: release }];
  return ["/api/explanation/search-all", {}];
}

export interface TextHit {
  readonly modelId: string;
  readonly layer: string;
  readonly index: string;
  readonly maxValue: number;
  readonly maxValueIndex: number;
  readonly sumValues: number | null;
  readonly values: readonly number[];
  readonly neuron?: FeatureRecord;
}

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

export interface TextAnswer {
  readonly tokens: readonly string[];
  readonly result: readonly TextHit[];
}

export function searchByText(search: TextSearch, signal?: AbortSignal): Promise<TextAnswer> {
  const body = {
    modelId: search.model,
    sourceSet: search.sourceSet,
    selectedLayers: search.sources,
    text: search.text,
    sortIndexes: search.sortIndexes,
    ignoreBos: search.ignoreBos,
    densityThreshold: search.densityThreshold,
    numResults: search.count,
  };
  return sendJson<TextAnswer>("/api/search-all", { body, signal });
}

export interface TokenFeature {
  readonly featureIndex: number;
  readonly activationValue: number;
  readonly feature?: {
    readonly frac_nonzero: number | null;
    readonly explanations: readonly { readonly description: string }[];
  };
}

export interface TokenPosition {
  readonly position: number;
  readonly token: string;
  readonly topFeatures: readonly TokenFeature[];
}

export interface TokenSearch {
  readonly model: string;
  readonly source: string;
  readonly text: string;
  readonly ignoreBos: boolean;
  readonly densityThreshold: number;
  readonly count: number;
}

export function searchByToken(search: TokenSearch, signal?: AbortSignal): Promise<{ results: readonly TokenPosition[] }> {
  const body = {
    modelId: search.model,
    source: search.source,
    text: search.text,
    numResults: search.count,
    ignoreBos: search.ignoreBos,
    densityThreshold: search.densityThreshold,
  };
  return sendJson("/api/search-topk-by-token", { body, signal });
}
