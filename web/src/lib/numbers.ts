/**
 * Lists of numbers from JSON, which writes what is no number as null.
 */
export type Numbers = readonly (number | null)[];

/** The list with 0 for what is no number: nothing is drawn there. */
export function filled(values: Numbers): number[] {
  return values.map((value) => value ?? 0);
}
