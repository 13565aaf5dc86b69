/**
 * What holds on every page: texts from outside do nothing, keys work, what needs a model says why it is
 * not there.
 */
import { describe, expect, test } from "vitest";
import { expectAccessible, openPage, settled, withBrowser } from "./browser.ts";

withBrowser();

const HOSTILE = encodeURIComponent("<i>hostile");
const SOURCE = encodeURIComponent("0-\"'<s>");
const SCRIPT = encodeURIComponent('"><script>window.pwned=1</script><img src=x onerror=window.pwned=1>');
const TURNED = encodeURIComponent("\u202Ecba\u0000");
const LONG = encodeURIComponent("long ".repeat(1500));

describe("texts from outside", () => {
  test.each([
    "/",
    `/${HOSTILE}`,
    `/${HOSTILE}/${SOURCE}`,
    `/${HOSTILE}/${SOURCE}?tab=map`,
    `/${HOSTILE}/${SOURCE}?tab=about`,
    `/${HOSTILE}/${encodeURIComponent("<b>set")}`,
    `/${HOSTILE}/${SOURCE}/0`,
    `/${HOSTILE}/${SOURCE}/1?context=full&breaks=1`,
    `/${HOSTILE}/${SOURCE}/2?context=stacked`,
    `/${HOSTILE}/${SOURCE}/0?embed=true&embedsteer=true`,
    `/search?mode=label&by=words&q=hostile`,
    `/search?mode=label&by=words&q=${SCRIPT}`,
    `/search?mode=text&q=${SCRIPT}&model=docs-3m&set=${SCRIPT}&at=${SCRIPT}`,
    `/search?mode=token&q=${TURNED}&source=3-res&model=docs-3m`,
    `/search?mode=${SCRIPT}&dmax=${SCRIPT}`,
    `/docs-3m/3-res/80?defaulttesttext=${LONG}`,
    `/docs-3m/3-res/80?defaulttesttext=${TURNED}&context=${SCRIPT}&peek=${SCRIPT}`,
    `/docs-3m/3-res?sort=${SCRIPT}&order=${SCRIPT}&q=${SCRIPT}&dmin=${SCRIPT}`,
    `/steer?model=docs-3m&feature=${SCRIPT}&prompt=${SCRIPT}&method=${SCRIPT}&saved=${SCRIPT}`,
    `/steer/${SCRIPT}`,
    `/sql?q=${encodeURIComponent("SELECT description AS \"<img src=x onerror=window.pwned=1>\", '<script>window.pwned=1</script>' AS x FROM explanations")}&run=1`,
    `/sql?q=${encodeURIComponent("SELECT description AS label, 1 AS n FROM explanations WHERE model_id = '<i>hostile'")}&run=1&view=chart&x=label&y=n&colour=label&mark=bar`,
    `/quick-list?name=${SCRIPT}&features=${encodeURIComponent(JSON.stringify([{ modelId: "<i>hostile", layer: "0-\"'<s>", index: "[0,1,2]" }]))}`,
    `/quick-list?name=x&features=${SCRIPT}`,
    `/lens?q=${SCRIPT}&model=docs-3m`,
    `/evals?x=${SCRIPT}&y=${SCRIPT}&model=${SCRIPT}`,
    `/data?add=${SCRIPT}`,
    `/api-reference?route=${SCRIPT}`,
    `/${SCRIPT}`,
    `/${SCRIPT}/${SCRIPT}/${SCRIPT}`,
  ])("do nothing on %s", async (path) => {
    const { page, complaints, go, close } = await openPage();
    await go(path);
    await settled(page);
    const found = await page.evaluate(() => {
      // What one typed stays in its field as it was typed.
      const shown = document.querySelector("#root")?.cloneNode(true) as Element;
      for (const field of shown.querySelectorAll("textarea")) field.remove();
      return {
        pwned: "pwned" in window,
        scripts: document.querySelectorAll("#root script, #root iframe, #root img, #root [onerror], #root [onload]").length,
        runs: [...document.querySelectorAll("a")].filter((link) => /^javascript:/i.test(link.getAttribute("href") ?? "")).length,
        turns: /[\u202a-\u202e\u2066-\u2069\u0000]/.test(shown.textContent ?? ""),
        letters: (shown.textContent ?? "").length,
      };
    });
    expect(found).toMatchObject({ pwned: false, scripts: 0, runs: 0, turns: false });
    expect(found.letters, "a label of a megabyte is cut").toBeLessThan(200_000);
    expect(complaints.filter((each) => each.startsWith("script:") || /Content Security Policy/.test(each))).toEqual([]);
    expect(await page.getByText("This page failed").count()).toBe(0);
    await close();
  });
});

describe("a frame of another page", () => {
  test("shows a feature, and no page that changes data", async () => {
    const { page, go, close } = await openPage();
    await go("/");
    const framed = async (path: string) => {
      await page.evaluate((address) => {
        const frame = document.createElement("iframe");
        frame.src = address;
        document.body.replaceChildren(frame);
      }, path);
      return page.frameLocator("iframe");
    };
    await (await framed("/docs-3m/3-res/80?embed=true")).getByText("Top activations").waitFor();
    for (const path of ["/data?embed=true", "/sql?embed=true", "/api-reference?embed=true"]) {
      await (await framed(path)).getByText("does not show itself inside another").waitFor();
    }
    await close();
  });
});

describe("keys", () => {
  test("go to pages, open the help and the palette, and stay out of fields", async () => {
    const { page, go, close } = await openPage();
    await go("/");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.waitForURL("**/sql");
    await page.getByRole("textbox", { name: "SQL statement" }).click();
    await page.keyboard.type("?gs/");
    expect(new URL(page.url()).pathname).toBe("/sql");
    await page.keyboard.press("Control+k");
    const palette = page.getByRole("combobox");
    await palette.fill("3-res/80");
    await page.getByRole("option", { name: /docs-3m\/3-res\/80/ }).waitFor();
    await expectAccessible(page);
    await page.keyboard.press("Enter");
    await page.waitForURL("**/docs-3m/3-res/80");
    await close();
  });

  test("reach the content first, and the theme stays as chosen", async () => {
    const { page, go, close } = await openPage();
    await go("/");
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to content");
    await page.getByRole("button", { name: /^Theme/ }).click();
    expect(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe("dark");
    await page.reload();
    expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
    await close();
  });
});

describe("what needs a model", () => {
  test.each([
    ["/tiny-stdlib/1-res-tiny-db/3", "The weights of tiny-stdlib are not here"],
    ["/tiny-stdlib", "no text can be run through it"],
    ["/search?mode=text&model=tiny-stdlib&q=x", "The weights of tiny-stdlib are not here"],
    ["/search?mode=token&model=tiny-stdlib&source=1-res-tiny&q=x", "The weights of tiny-stdlib are not here"],
    ["/lens?model=tiny-stdlib&q=x", "The weights of tiny-stdlib are not here"],
    ["/steer?model=tiny-stdlib", "The weights of tiny-stdlib are not here"],
    ["/steer?model=docs-3m", "docs-3m has no chat template"],
  ])("%s says why it is not there", async (path, reason) => {
    const { page, complaints, go, close } = await openPage();
    await go(path);
    await page.getByText(reason).first().waitFor();
    expect(complaints).toEqual([]);
    await close();
  });
});

describe("a server that does not answer", () => {
  test("is told in place, with a way to try again", async () => {
    const { page, go, close } = await openPage();
    await page.route("**/v1/sql", (route) => route.abort());
    await go("/docs-3m/3-res");
    await page.getByRole("alert").first().waitFor();
    await page.unroute("**/v1/sql");
    await page.getByRole("button", { name: "Try again" }).first().click();
    await page.getByText("1,024 features").first().waitFor();
    await close();
  });
});
