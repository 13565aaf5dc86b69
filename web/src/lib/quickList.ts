/**
 * The grammar of quick lists: `/quick-list?name=…&features=[{"modelId","layer","index"}, …]`, as
 * SAELens' `get_neuronpedia_quick_list` and Neuronpedia write it.
 *
 * An index may be a number, a number as text, or text that holds nested lists of numbers; the order of
 * the link is kept. Whatever else stands in the link is an error that says what is wrong.
 */
import { type FeatureAddress, parseIndex } from "./address.ts";

/** As many as Neuronpedia takes. */
export const LONGEST_LIST = 150;

export interface QuickList {
  readonly name: string;
  readonly features: readonly FeatureAddress[];
}

export function parseQuickList(parameters: URLSearchParams): QuickList {
  const name = parameters.get("name") ?? "";
  const text = parameters.get("features");
  if (text === null) throw new Error("the link has no features");
  const features = parseJson(text);
  if (!Array.isArray(features)) throw new Error("features is not a list");
  const addresses = features.flatMap(parseItem);
  if (addresses.length > LONGEST_LIST) {
    throw new Error(`the list has ${addresses.length} features; ${LONGEST_LIST} is the most`);
  }
  return { name, features: addresses };
}

export function quickListPath(list: QuickList): string {
  const features = list.features.map(({ model, source, index }) => ({
    modelId: model,
    layer: source,
    index: index.toString(),
  }));
  return `/quick-list?${new URLSearchParams({ name: list.name, features: JSON.stringify(features) })}`;
}

function parseItem(item: unknown, position: number): FeatureAddress[] {
  if (typeof item !== "object" || item === null) throw new Error(`feature ${position + 1} is not an object`);
  const { modelId, layer, index } = item as Record<string, unknown>;
  if (typeof modelId !== "string" || typeof layer !== "string") {
    throw new Error(`feature ${position + 1} lacks modelId or layer`);
  }
  const indices = parseIndices(index);
  if (indices.length === 0) throw new Error(`feature ${position + 1} has no index`);
  return indices.map((number) => ({ model: modelId, source: layer, index: number }));
}

/** The numbers in a number, in text, or in lists of them however deep. */
function parseIndices(index: unknown): number[] {
  if (typeof index === "number") return Number.isInteger(index) && index >= 0 ? [index] : [];
  if (Array.isArray(index)) return index.flatMap(parseIndices);
  if (typeof index !== "string") return [];
  const number = parseIndex(index.trim());
  if (number !== null) return [number];
  return index.trim().startsWith("[") ? parseIndices(parseJson(index)) : [];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("the list of features is not JSON");
  }
}
