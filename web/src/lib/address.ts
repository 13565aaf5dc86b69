/**
 * Addresses of models, sources and features, and the links to their pages.
 *
 * A feature's address is `model/source/index` everywhere; links are the same as Neuronpedia's, so that
 * an address pasted from a paper works here. Every part is encoded: ids come from outside.
 */
export interface FeatureAddress {
  readonly model: string;
  readonly source: string;
  readonly index: number;
}

const encode = encodeURIComponent;

export function modelPath(model: string): string {
  return `/${encode(model)}`;
}

export function sourcePath(model: string, source: string): string {
  return `/${encode(model)}/${encode(source)}`;
}

export function featurePath({ model, source, index }: FeatureAddress): string {
  return `/${encode(model)}/${encode(source)}/${index}`;
}

export function formatAddress({ model, source, index }: FeatureAddress): string {
  return `${model}/${source}/${index}`;
}

/** Reads `model/source/index`, or a link that ends in it; null if the text is neither. */
export function parseAddress(text: string): FeatureAddress | null {
  const path = text.trim().replace(/^https?:\/\/[^/]+\//, "").replace(/[?#].*$/, "");
  const parts = path.split("/").filter((part) => part !== "");
  const [model, source, index] = parts.slice(-3);
  if (model === undefined || source === undefined || index === undefined || parts.length > 3) return null;
  const number = parseIndex(index);
  return number === null ? null : { model: decode(model), source: decode(source), index: number };
}

/** A feature's number, or null if the text is none. */
export function parseIndex(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** The layer that a source id begins with; null for ids without one, such as `vectors`. */
export function layerOf(source: string): number | null {
  const match = /^(\d+)(?:-|$)/.exec(source);
  return match?.[1] === undefined ? null : Number(match[1]);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
