/**
 * A feature's examples, put in order: the strongest, then the quantile intervals from above, each with
 * its repeats folded.
 */
import type { Activation } from "@/api/feature.ts";

export interface Example {
  readonly activation: Activation;
  /** Others with the same tokens and the same maximum. */
  readonly duplicates: readonly Activation[];
}

export interface Interval {
  readonly key: string;
  /** Bounds, or null for the strongest of all. */
  readonly bounds: readonly [number, number] | null;
  /** Share of the feature's firings that lie in the interval. */
  readonly share: number | null;
  readonly examples: readonly Example[];
}

/** Groups examples by interval: the strongest first, then from the highest interval down. */
export function byInterval(activations: readonly Activation[]): Interval[] {
  const groups = new Map<string, Activation[]>();
  for (const activation of activations) {
    const bounds = boundsOf(activation);
    const key = bounds === null ? "top" : bounds.join(" ");
    groups.set(key, [...(groups.get(key) ?? []), activation]);
  }
  const intervals = [...groups].map(([key, members]): Interval => {
    const first = members[0];
    return {
      key,
      bounds: first === undefined ? null : boundsOf(first),
      share: first?.binContains ?? null,
      examples: folded(members.toSorted((a, b) => b.maxValue - a.maxValue)),
    };
  });
  const rank = ({ bounds }: Interval) => bounds?.[1] ?? Number.POSITIVE_INFINITY;
  return intervals.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)));
}

/** The bounds of the interval that a row was sampled from; rows of the strongest have none. */
function boundsOf({ binMin, binMax }: Activation): readonly [number, number] | null {
  return binMin === null || binMax === null || binMin < 0 ? null : [binMin, binMax];
}

function folded(members: readonly Activation[]): Example[] {
  const seen = new Map<string, Activation[]>();
  for (const member of members) {
    const key = `${member.maxValue}\u0000${member.tokens.join("\u0000")}`;
    seen.set(key, [...(seen.get(key) ?? []), member]);
  }
  return [...seen.values()].flatMap(([activation, ...duplicates]) => (activation ? [{ activation, duplicates }] : []));
}

/** Tokens shown on each side of the strongest one. */
export const CONTEXTS = { stacked: 5, snippet: 16, full: Number.POSITIVE_INFINITY } as const;
export type ContextLength = keyof typeof CONTEXTS;

/** The first token shown and the one after the last. */
export function windowAround(at: number, length: number, context: ContextLength): readonly [number, number] {
  const side = CONTEXTS[context];
  return [Math.max(0, at - side), Math.min(length, at + side + 1)];
}

/** The text around the strongest token, of 512 tokens at most: what a test starts from. */
export function textAround({ tokens, maxValueTokenIndex }: Activation, special: RegExp = /^<\|.*\|>$|^<(bos|eos|pad|s|\/s)>$/): string {
  const from = Math.max(0, maxValueTokenIndex - 256);
  return tokens
    .slice(from, from + 512)
    .filter((token) => !special.test(token))
    .join("");
}

/** The largest of some numbers; 0 of none. */
export function largest(values: Iterable<number>): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}
