/**
 * The answer of a search token by token, turned round: each feature with the tokens that it fires at.
 */
import type { TokenPosition } from "@/api/search.ts";

export interface TokenFeatureSummary {
  readonly index: number;
  readonly label: string | null;
  readonly density: number | null;
  /** Value by place in the list of tokens. */
  readonly positions: ReadonlyMap<number, number>;
  readonly most: number;
}

export type TokenSort = "frequency" | "max" | "density";

export function gathered(positions: readonly TokenPosition[]): TokenFeatureSummary[] {
  const found = new Map<number, { label: string | null; density: number | null; positions: Map<number, number>; most: number }>();
  positions.forEach(({ topFeatures }, place) => {
    for (const { featureIndex, activationValue, feature } of topFeatures) {
      const known = found.get(featureIndex) ?? {
        label: feature?.explanations[0]?.description ?? null,
        density: feature?.frac_nonzero ?? null,
        positions: new Map<number, number>(),
        most: 0,
      };
      known.positions.set(place, activationValue);
      known.most = Math.max(known.most, activationValue);
      found.set(featureIndex, known);
    }
  });
  return [...found].map(([index, known]) => ({ index, ...known }));
}

/** By how many tokens, by value (at one token, if one is chosen), or the rarest first. */
export function sorted(features: readonly TokenFeatureSummary[], sort: TokenSort, at: number | null): TokenFeatureSummary[] {
  const value = (feature: TokenFeatureSummary) => (at === null ? feature.most : (feature.positions.get(at) ?? 0));
  return features.toSorted((a, b) => {
    if (sort === "density") return (a.density ?? 1) - (b.density ?? 1);
    if (sort === "frequency" && at === null && a.positions.size !== b.positions.size) return b.positions.size - a.positions.size;
    return value(b) - value(a);
  });
}
