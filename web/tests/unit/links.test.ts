/** What stands in links: addresses, quick lists, embeds, steering. */
import { describe, expect, test } from "vitest";
import { featurePath, layerOf, parseAddress } from "@/lib/address.ts";
import { parseQuickList, quickListPath } from "@/lib/quickList.ts";
import { featureSnippets, iframeCode, sqlText } from "@/lib/snippets.ts";
import { embedParts, embedQuery } from "@/pages/feature/embedParts.ts";
import { formatItem, readSteerState, steerChanges, strengthOf, timesOf } from "@/pages/steer/steerState.ts";

const list = (features: string, name = "n") => parseQuickList(new URLSearchParams({ name, features }));

describe("addresses", () => {
  test("are read from text and from links, and nothing else is one", () => {
    const address = { model: "gpt2-small", source: "10-res-jb", index: 16899 };
    expect(parseAddress("gpt2-small/10-res-jb/16899")).toEqual(address);
    expect(parseAddress("https://www.neuronpedia.org/gpt2-small/10-res-jb/16899?embed=true#x")).toEqual(address);
    for (const text of ["", "a/b", "a/b/c", "a/b/-1", "a/b/1.5", "a/b/c/1", "a/b/99999999999"]) expect(parseAddress(text)).toBeNull();
  });
  test("encode what comes from outside", () => {
    const hostile = { model: "a/../b", source: '"><script>', index: 1 };
    expect(featurePath(hostile)).toBe("/a%2F..%2Fb/%22%3E%3Cscript%3E/1");
    expect(parseAddress(featurePath(hostile))).toEqual(hostile);
  });
  test("begin with a layer, or do not", () => {
    expect([layerOf("10-res-jb"), layerOf("3"), layerOf("vectors"), layerOf("e-x")]).toEqual([10, 3, null, null]);
  });
});

describe("quick lists", () => {
  test("keep the link's order, whatever form indices have", () => {
    const { features, name } = list('[{"modelId":"m","layer":"1-s","index":"5"},{"modelId":"m","layer":"0-s","index":2}]', "mine");
    expect(name).toBe("mine");
    expect(features.map(({ source, index }) => `${source}/${index}`)).toEqual(["1-s/5", "0-s/2"]);
  });
  test("take SAELens' nested indices", () => {
    const { features } = list('[{"modelId":"m","layer":"1-s","index":"[[1,2],[3]]"}]');
    expect(features.map(({ index }) => index)).toEqual([1, 2, 3]);
  });
  test("go round through a link", () => {
    const features = [{ model: "m", source: "1-s", index: 7 }];
    const again = parseQuickList(new URL(quickListPath({ name: "ä & b", features }), "http://x").searchParams);
    expect(again).toEqual({ name: "ä & b", features });
  });
  test("say what is wrong with a link", () => {
    expect(() => parseQuickList(new URLSearchParams())).toThrow("no features");
    expect(() => list("{")).toThrow("not JSON");
    expect(() => list("{}")).toThrow("not a list");
    expect(() => list("[1]")).toThrow("feature 1 is not an object");
    expect(() => list('[{"modelId":"m","layer":"s","index":-1}]')).toThrow("feature 1 has no index");
    expect(() => list(JSON.stringify([{ modelId: "m", layer: "s", index: Array.from({ length: 151 }, (_, at) => at) }]))).toThrow("150 is the most");
  });
});

describe("code to take along", () => {
  test("quotes names for the language they stand in", () => {
    expect(sqlText("o'neil")).toBe("'o''neil'");
    const [sql] = featureSnippets({ model: "a'; DROP TABLE features; --", source: "s", index: 1 }, undefined, "http://h");
    expect(sql?.code).toContain("model_id = 'a''; DROP TABLE features; --'");
    expect(iframeCode('http://h/?a=1&b="x"')).toContain('src="http://h/?a=1&amp;b=&quot;x&quot;"');
  });
});

describe("embeds", () => {
  test("show what their flags say, and ask for it in Neuronpedia's names", () => {
    const parts = embedParts(new URLSearchParams("embed=true&embedplots=false&embedsteer=true"));
    expect(parts).toMatchObject({ plots: false, explanation: true, steer: true });
    expect(embedParts(new URLSearchParams(embedQuery(parts, "hi")))).toEqual(parts);
  });
});

describe("steering", () => {
  test("goes round through the address", () => {
    const parameters = new URLSearchParams([
      ["feature", "m/3-res/80@2.5"],
      ["feature", "m/vectors/up@=-4:off"],
      ["tokens", "12"],
      ["method", "PROJECTION_CAP"],
    ]);
    const state = readSteerState(parameters);
    expect(state.items).toEqual([
      { source: "3-res", index: "80", strength: { times: 2.5 }, isOff: false },
      { source: "vectors", index: "up", strength: { exactly: -4 }, isOff: true },
    ]);
    expect(state.settings).toMatchObject({ n_tokens: 12, steer_method: "PROJECTION_CAP", seed: 16 });
    expect(state.items.map((item) => formatItem("m", item))).toEqual(parameters.getAll("feature"));
    expect(steerChanges("m", state)).toMatchObject({ tokens: "12", seed: null, method: "PROJECTION_CAP" });
  });
  test("reads Neuronpedia's links, and no nonsense", () => {
    expect(readSteerState(new URLSearchParams("source=3-res&index=80&strength=40")).items[0]?.strength).toEqual({ exactly: 40 });
    expect(readSteerState(new URLSearchParams("feature=x&feature=a/b/c@zz&method=nope&tokens=x")).items).toEqual([]);
  });
  test("counts in multiples of the largest activation", () => {
    const item = { source: "s", index: "1", strength: { times: 2 }, isOff: false };
    expect(strengthOf(item, 13)).toBe(26);
    expect(timesOf({ ...item, strength: { exactly: 26 } }, 13)).toBe(2);
  });
});
