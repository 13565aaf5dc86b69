/**
 * Text from outside, made safe to look at.
 *
 * React never lets text become markup. What is left are characters that rearrange or hide what stands
 * beside them, and texts so long that they stall the page: those are written out, these are cut.
 */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Longest label that is drawn whole. */
export const LONGEST = 2000;

/** `text` with control and direction characters written out, and no longer than `longest`. */
export function inert(text: string | null | undefined, longest = LONGEST): string {
  if (text === null || text === undefined) return "";
  const cut = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return cut.replace(CONTROLS, picture).replace(DIRECTIONS, codePoint);
}

/** The Unicode picture of a control character: ␀ for U+0000. */
function picture(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : codePoint(character);
}

function codePoint(character: string): string {
  return `⟨U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
