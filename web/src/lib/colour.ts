/**
 * How strongly a token or a logit is coloured. The curves are Neuronpedia's, so that pictures of the
 * two can be compared.
 */

/** Below this an activation counts as none. */
const SILENT = 5e-5;

/** Opacity of a token's colour, for a value on a scale that ends at `most`; 0 is no colour. */
export function activationAlpha(value: number, most: number): number {
  if (!(value > SILENT) || !(most > 0)) return 0;
  const share = Math.min(value / most, 1);
  return 0.05 + 0.95 * Math.log10(1 + 9 * share);
}

/** Opacity in the strip of tokens of a search, where only the strongest should stand out. */
export function stripAlpha(value: number, most: number): number {
  if (!(value > 0) || !(most > 0)) return 0;
  return Math.min(value / most, 1) ** 2;
}

/** Share of a logit in the largest of its table, 0 to 1. */
export function logitShare(value: number, largest: number): number {
  return largest > 0 ? Math.min(Math.abs(value) / largest, 1) : 0;
}
