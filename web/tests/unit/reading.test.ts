/** What people read: tokens, colours, numbers, and text from outside. */
import { describe, expect, test } from "vitest";
import { activationAlpha, logitShare, stripAlpha } from "@/lib/colour.ts";
import { formatActivation, formatBytes, formatDensity, formatLogit, formatScore, formatSeconds, plural } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { tokenAlone, tokenInText } from "@/lib/tokens.ts";

describe("colours of tokens", () => {
  test("follow Neuronpedia's curve", () => {
    expect(activationAlpha(10, 10)).toBeCloseTo(1);
    expect(activationAlpha(1, 10)).toBeCloseTo(0.05 + 0.95 * Math.log10(1.9));
  });
  test("a silent token has none, and a value above the scale is no stronger than the scale", () => {
    expect(activationAlpha(0, 10)).toBe(0);
    expect(activationAlpha(5e-5, 10)).toBe(0);
    expect(activationAlpha(-3, 10)).toBe(0);
    expect(activationAlpha(Number.NaN, 10)).toBe(0);
    expect(activationAlpha(99, 10)).toBeCloseTo(1);
    expect(activationAlpha(1, 0)).toBe(0);
  });
  test("a strip shows the strongest, a logit its share", () => {
    expect(stripAlpha(5, 10)).toBeCloseTo(0.25);
    expect(logitShare(-2, 4)).toBeCloseTo(0.5);
    expect(logitShare(1, 0)).toBe(0);
  });
});

describe("numbers", () => {
  test("have the places that people expect", () => {
    expect(formatActivation(1.239)).toBe("1.24");
    expect(formatActivation(0.0012)).toBe("0.001");
    expect(formatLogit(-0.001)).toBe("0.00");
    expect(formatDensity(0.0123456)).toBe("1.235%");
    expect(formatScore(0.876)).toBe("88");
    expect(formatBytes(45_112_205)).toBe("45.1 MB");
    expect(formatSeconds(65_000)).toBe("1 min 5 s");
    expect(plural(1, "feature")).toBe("1 feature");
    expect(plural(24_576, "feature")).toBe("24,576 features");
  });
  test("are a dash where nothing is known", () => {
    for (const value of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY]) expect(formatActivation(value)).toBe("–");
  });
});

describe("tokens", () => {
  test("of byte-level vocabularies read as text", () => {
    expect(tokenInText("Ġcat", false)).toBe(" cat");
    expect(tokenInText("▁cat", false)).toBe(" cat");
    expect(tokenInText("Ċ", false)).toBe("↵");
    expect(tokenInText("\n", true)).toBe("↵\n");
    expect(tokenInText("<0x0A>", false)).toBe("↵");
  });
  test("on their own show their blanks, and an empty one is shown as such", () => {
    expect(tokenAlone(" a ")).toBe("·a·");
    expect(tokenAlone("")).toBe("∅");
  });
});

describe("text from outside", () => {
  test("cannot hide or turn what stands beside it", () => {
    expect(inert("a\u0000b")).toBe("a␀b");
    expect(inert("evil\u202Etxt.exe")).toBe("evil⟨U+202E⟩txt.exe");
    expect(inert("\ufeff")).toBe("⟨U+FEFF⟩");
  });
  test("stays as it is where it is harmless, markup included", () => {
    expect(inert("<b>été 日本 😀</b>\n\t")).toBe("<b>été 日本 😀</b>\n\t");
    expect(inert(null)).toBe("");
  });
  test("is cut where it would stall the page", () => {
    expect(inert("x".repeat(1_000_000)).length).toBe(2001);
  });
});
