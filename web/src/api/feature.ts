/**
 * A feature with all that is known of it: `GET /api/feature/{model}/{source}/{index}`.
 */
import { type FeatureAddress } from "@/lib/address.ts";
import { sendJson } from "./http.ts";

export interface Activation {
  readonly id: string;
  readonly tokens: readonly string[];
  readonly values: readonly number[];
  readonly maxValue: number;
  readonly maxValueTokenIndex: number;
  readonly minValue: number;
  readonly binMin: number | null;
  readonly binMax: number | null;
  readonly binContains: number | null;
  readonly dfaValues: readonly number[];
  readonly dfaTargetIndex: number | null;
  readonly dfaMaxValue: number | null;
  readonly dataSource: string | null;
}

export interface Score {
  readonly id: string;
  readonly value: number | null;
  readonly explanationScoreTypeName: string | null;
  readonly explanationScoreModelName: string | null;
  readonly createdAt: string | null;
}

export interface Explanation {
  readonly id: string;
  readonly description: string;
  readonly typeName: string | null;
  readonly explanationModelName: string | null;
  readonly authorId: string | null;
  readonly notes: string | null;
  readonly createdAt: string | null;
  readonly scores: readonly Score[];
}

export interface FeatureRecord {
  readonly modelId: string;
  readonly layer: string;
  readonly index: string;
  readonly maxActApprox: number;
  readonly hasVector: boolean;
  readonly vectorLabel: string | null;
  readonly hookName: string | null;
  readonly topkCosSimIndices: readonly number[];
  readonly topkCosSimValues: readonly number[];
  readonly neuron_alignment_indices: readonly number[];
  readonly neuron_alignment_values: readonly number[];
  readonly neuron_alignment_l1: readonly number[];
  readonly correlated_neurons_indices: readonly number[];
  readonly correlated_neurons_pearson: readonly number[];
  readonly correlated_features_indices: readonly number[];
  readonly correlated_features_pearson: readonly number[];
  readonly neg_str: readonly string[];
  readonly neg_values: readonly number[];
  readonly pos_str: readonly string[];
  readonly pos_values: readonly number[];
  readonly frac_nonzero: number;
  readonly freq_hist_data_bar_heights: readonly number[];
  readonly freq_hist_data_bar_values: readonly number[];
  readonly logits_hist_data_bar_heights: readonly number[];
  readonly logits_hist_data_bar_values: readonly number[];
  readonly decoder_weights_dist: readonly number[];
  readonly activations: readonly Activation[];
  readonly explanations: readonly Explanation[];
}

export function getFeature({ model, source, index }: FeatureAddress, signal?: AbortSignal): Promise<FeatureRecord> {
  const path = [model, source, index.toString()].map(encodeURIComponent).join("/");
  return sendJson<FeatureRecord>(`/api/feature/${path}`, { signal });
}

/** What a text makes of one feature: `POST /api/activation/new`. */
export interface TestedText {
  readonly tokens: readonly string[];
  readonly values: readonly number[];
  readonly maxValue: number;
  readonly maxValueTokenIndex: number;
  readonly dfaValues?: readonly number[];
  readonly dfaTargetIndex?: number;
}

export function testText(
  { model, source, index }: FeatureAddress,
  text: string,
  ignoreBos: boolean,
  signal?: AbortSignal,
): Promise<TestedText> {
  const feature = { modelId: model, source, index: index.toString() };
  return sendJson<TestedText>("/api/activation/new", { body: { feature, customText: text, ignoreBos }, signal });
}
