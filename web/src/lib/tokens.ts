/**
 * Tokens as people read them.
 *
 * Byte-level vocabularies write blanks and line breaks with stand-ins (Ġ, ▁, Ċ, <0x0A>); they are shown
 * as what they mean, so that a text reads as text. Nothing is dropped: an empty token is shown as such.
 */
import { inert } from "./inert.ts";

const LONGEST_TOKEN = 200;

const STAND_INS: ReadonlyArray<readonly [RegExp, string]> = [
  [/^Ġ/, " "],
  [/▁/g, " "],
  [/Ċ/g, "\n"],
  [/<0x0A>/g, "\n"],
  [/<0x09>/g, "\t"],
  [/âĢĻ/g, "’"],
  [/âĢľ/g, "“"],
  [/âĢĿ/g, "”"],
];

/** A token's text, with blanks and line breaks as such. */
export function tokenText(token: string): string {
  return STAND_INS.reduce((text, [pattern, meaning]) => text.replace(pattern, meaning), token);
}

/** A token in running text: line breaks as ↵, followed by a real one if `breaks`. */
export function tokenInText(token: string, breaks: boolean): string {
  return inert(tokenText(token), LONGEST_TOKEN).replace(/\r?\n/g, breaks ? "↵\n" : "↵").replace(/\t/g, "⇥");
}

/** A token on its own: blanks at its ends are made visible. */
export function tokenAlone(token: string): string {
  const text = inert(tokenText(token), LONGEST_TOKEN).replace(/\r?\n/g, "↵").replace(/\t/g, "⇥");
  if (text === "") return "∅";
  return text.replace(/^ +| +$/g, (blanks) => "\u00b7".repeat(blanks.length));
}
