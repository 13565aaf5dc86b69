/**
 * What people come to do, from end to end.
 */
import { fileURLToPath } from "node:url";
import { parquetMetadata } from "hyparquet";
import { describe, expect, inject, test } from "vitest";
import { openPage, screenshot, settled, withBrowser } from "./browser.ts";

withBrowser();

describe("a feature", () => {
  test("is found, opened, tested, steered by, saved, and its link restores it", async () => {
    const { page, complaints, go, close } = await openPage();
    await go("/");
    await page.keyboard.press("/");
    await page.keyboard.type("things that go wrong, error");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Search" }).waitFor();
    if (!inject("hasMeaning")) {
      // By words all of them must be there; without an embedding model the app says that it goes by words.
      await go("/search?mode=label&q=errors");
      await page.getByText("Searched by words").waitFor();
    }
    const hit = page.getByRole("link", { name: "assertions and errors" });
    await hit.hover();
    await page.getByText("promotes").first().waitFor();
    await hit.click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Top activations").waitFor();
    await screenshot(page, "flow-dialog");
    await dialog.getByRole("link", { name: "Open page" }).click();
    await page.waitForURL("**/docs-3m/3-res/80");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("textbox", { name: "Text to test" }).waitFor();
    await page.keyboard.press("t");
    await page.keyboard.type("The function returns an error");
    await page.keyboard.press("Enter");
    await page.getByText("% of the largest known").waitFor();
    expect(page.url()).toContain("defaulttesttext=The+function+returns+an+error");
    await page.getByRole("link", { name: "All settings" }).click();
    await page.getByRole("textbox", { name: "Prompt" }).fill("The function returns");
    await page.getByRole("button", { name: "Steer", exact: true }).click();
    await page.getByRole("button", { name: "Link to this run" }).waitFor();
    const steered = await page.getByRole("region", { name: "Steered", exact: true }).innerText();
    const plain = await page.getByRole("region", { name: "Default", exact: true }).innerText();
    expect(steered).not.toEqual(plain);
    await screenshot(page, "flow-steered");
    await page.getByRole("button", { name: "Link to this run" }).click();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    await go(new URL(link).pathname + new URL(link).search);
    await page.getByRole("button", { name: "Link to this run" }).waitFor();
    expect(await page.getByRole("region", { name: "Steered", exact: true }).innerText()).toEqual(steered);
    expect(await page.getByRole("textbox", { name: "Prompt" }).inputValue()).toBe("The function returns");
    await page.getByText("assertions and errors").waitFor();
    expect(complaints.filter((each) => inject("hasMeaning") || !each.includes("/api/explanation"))).toEqual([]);
    await close();
  });

  test("has neighbours by keyboard, and the tested text goes along", async () => {
    const { page, go, close } = await openPage();
    await go("/docs-3m/3-res/80?defaulttesttext=an+error");
    await page.keyboard.press("ArrowRight");
    await page.waitForURL("**/docs-3m/3-res/81?defaulttesttext=an+error");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.waitForURL("**/docs-3m/3-res/79?defaulttesttext=an+error");
    await go("/docs-3m/3-res/0");
    expect(await page.getByRole("button", { name: "Previous feature" }).isDisabled()).toBe(true);
    await go("/docs-3m/3-res/1023");
    expect(await page.getByRole("button", { name: "Next feature" }).isDisabled()).toBe(true);
    await close();
  });

  test("shows more or less text, repeats, and tries an example", async () => {
    const { page, go, close } = await openPage();
    await go("/docs-3m/3-res/80");
    const shown = async () => (await page.locator('section[aria-labelledby="examples"]').innerText()).length;
    const snippets = await shown();
    await page.getByText("Full", { exact: true }).click();
    await expect.poll(shown).toBeGreaterThan(snippets);
    expect(page.url()).toContain("context=full");
    await page.getByRole("button", { name: "Try this text in the test" }).first().click();
    expect((await page.getByRole("textbox", { name: "Text to test" }).inputValue()).length).toBeGreaterThan(10);
    await close();
  });

  test("is embedded with the parts that the builder was told", async () => {
    const { page, go, close } = await openPage();
    await go("/docs-3m/3-res/80");
    await page.getByText("Embed", { exact: true }).click();
    await page.getByRole("checkbox", { name: "Plots" }).uncheck();
    const [preview] = await Promise.all([page.waitForEvent("popup"), page.getByRole("link", { name: "Preview" }).click()]);
    await preview.getByText("Top activations").waitFor();
    expect(await preview.getByText("Positive logits").count()).toBe(0);
    expect(await preview.getByRole("navigation").count()).toBe(0);
    await close();
  });
});

describe("a conversation", () => {
  test("is answered twice, goes on apart, is saved, and its link restores it", async () => {
    const { page, complaints, go, close } = await openPage();
    const asked: Array<{ defaultChatMessages: { content: string }[]; steeredChatMessages: { content: string }[] }> = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/api/steer-chat")) asked.push(request.postDataJSON());
    });
    await go("/steer?model=docs-chat&feature=docs-chat/3-res/80@4&kind=chat");
    const pane = (name: string) => page.getByRole("region", { name, exact: true });
    const answers = (name: string) => pane(name).locator('[data-role="assistant"]');
    for (const [turn, said] of ["What does the function return?", "And then?"].entries()) {
      await page.getByRole("textbox", { name: "Message" }).fill(said);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Send" }).waitFor();
      await expect.poll(() => answers("Steered").count()).toBe(turn + 1);
      await page.getByRole("button", { name: "Link to this run" }).waitFor();
    }
    expect(await answers("Steered").first().innerText()).not.toEqual(await answers("Default").first().innerText());
    expect(asked[1]?.defaultChatMessages[1]?.content).not.toEqual(asked[1]?.steeredChatMessages[1]?.content);
    const steered = await answers("Steered").allInnerTexts();
    await answers("Steered").first().locator("[data-at]").first().hover();
    await page.getByRole("table", { name: "What was likely here" }).waitFor();
    await screenshot(page, "flow-chat");
    await page.getByRole("button", { name: "Link to this run" }).click();
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    await go(link.pathname + link.search);
    await expect.poll(() => answers("Steered").count()).toBe(2);
    expect(await answers("Steered").allInnerTexts()).toEqual(steered);
    expect(complaints).toEqual([]);
    await close();
  });

  test("keeps as much of an answer as came before it was stopped", async () => {
    const { page, go, close } = await openPage();
    await go("/steer?model=docs-chat&feature=docs-chat/3-res/80@4&kind=chat&tokens=200");
    await page.getByRole("textbox", { name: "Message" }).fill("What does the function return?");
    await page.keyboard.press("Enter");
    const answered = page.getByRole("region", { name: "Default", exact: true }).locator('[data-role="assistant"]');
    await expect.poll(async () => (await answered.allInnerTexts()).join("").length).toBeGreaterThan(5);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("button", { name: "Send" }).waitFor();
    expect((await answered.innerText()).length).toBeGreaterThan(5);
    await close();
  });
});

describe("a statement", () => {
  test("becomes a chart, and its link shows the chart", async () => {
    const { page, complaints, go, close } = await openPage();
    await go("/sql");
    const editor = page.getByRole("textbox", { name: "SQL statement" });
    await editor.click();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("SELECT layer, count(*) AS n FROM sources GROUP BY layer ORDER BY layer");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+Enter");
    await page.getByText(/\d+ rows, /).waitFor();
    await page.getByText("Chart", { exact: true }).click();
    await page.getByLabel("Mark").selectOption("bar");
    await page.getByRole("img", { name: /^Bars: n over layer/ }).waitFor();
    await page.getByRole("button", { name: "Share" }).click();
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    await go(link.pathname + link.search);
    await page.getByRole("img", { name: /^Bars: n over layer/ }).waitFor();
    expect(complaints).toEqual([]);
    await close();
  });

  test("is completed, explained, exported and stopped", async () => {
    const { page, go, close } = await openPage();
    await go(`/sql?q=${encodeURIComponent("SELECT index, density, top_logit_tokens FROM features LIMIT 3")}&run=1`);
    await page.getByText("3 rows").waitFor();
    const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
    expect(csv.suggestedFilename()).toBe("latentdb.csv");
    const [parquet] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Parquet" }).click()]);
    const bytes = Buffer.concat(await (await parquet.createReadStream()).toArray());
    const file = parquetMetadata(new Uint8Array(bytes).buffer);
    expect([Number(file.num_rows), file.schema.find(({ name }) => name === "index")?.type]).toEqual([3, "INT32"]);
    expect(file.schema.find(({ name }) => name === "top_logit_tokens")?.num_children, "a list stays one").toBe(1);
    await page.getByRole("button", { name: "Explain" }).click();
    await page.getByRole("heading", { name: "physical plan" }).waitFor();
    const editor = page.getByRole("textbox", { name: "SQL statement" });
    await editor.click();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("SELECT * FROM activ");
    await page.getByRole("option", { name: /activation_records/ }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+Enter");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("stopped").waitFor();
    await close();
  });

  test("that came with a link runs only if it reads", async () => {
    const { page, go, close } = await openPage();
    let asked = 0;
    page.on("request", (request) => {
      if (request.url().endsWith("/v1/sql") && (request.postData() ?? "").includes("DROP")) asked += 1;
    });
    await go(`/sql?q=${encodeURIComponent("DROP TABLE features")}&run=1`);
    await page.getByText("Ctrl and Enter run").waitFor();
    expect(asked).toBe(0);
    await close();
  });
});

describe("a source", () => {
  test("is filtered, sorted and jumped into, and its address keeps that", async () => {
    const { page, go, close } = await openPage();
    await go("/docs-3m/3-res");
    await page.getByRole("searchbox", { name: "Words in the label" }).fill("error");
    await page.getByText(/ of 1,024 features/).waitFor();
    await page.getByRole("button", { name: "Density" }).click();
    await page.getByRole("columnheader", { name: "Density" }).and(page.locator('[aria-sort="descending"]')).waitFor();
    const { pathname, search } = new URL(page.url());
    await go(pathname + search);
    await page.getByText("assertions and errors").waitFor();
    await page.getByRole("link", { name: "80", exact: true }).click();
    await page.waitForURL("**/docs-3m/3-res/80");
    await close();
  });

  test("has a map whose lasso makes a list", async () => {
    const { page, go, close } = await openPage();
    await go("/docs-3m/3-res?tab=map");
    await page.getByRole("button", { name: "Lasso" }).click();
    const box = await page.locator("canvas").boundingBox();
    if (box === null) throw new Error("the map has no canvas");
    const at = (x: number, y: number) => page.mouse.move(box.x + box.width * x, box.y + box.height * y);
    await at(0.2, 0.2);
    await page.mouse.down();
    for (const [x, y] of [[0.8, 0.2], [0.8, 0.8], [0.2, 0.8]] as const) await at(x, y);
    await page.mouse.up();
    await page.getByText(/\d+ of 1,024 features/).waitFor();
    await page.getByRole("link", { name: "As a list" }).click();
    await page.waitForURL("**/quick-list?**");
    await page.getByRole("button", { name: "Link" }).waitFor();
    await settled(page);
    await close();
  });

  test.runIf(inject("hasJobs"))("is imported as a job, and browsed", async () => {
    const { page, complaints, go, close } = await openPage();
    await go("/data?add=import");
    await page.getByLabel("Folder or address").fill(fileURLToPath(new URL("../../../datasets/sample/export", import.meta.url)));
    await page.getByLabel("Replace what is here").check();
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByText("done", { exact: true }).waitFor();
    await screenshot(page, "flow-imported");
    await go("/tiny-stdlib/1-res-tiny");
    await page.getByText("144 features").first().waitFor();
    expect(complaints).toEqual([]);
    await close();
  });
});

describe("a text", () => {
  test("sorts by the tokens that are clicked", async () => {
    const { page, go, close } = await openPage();
    await go("/search?mode=text&q=an+error+occurred&model=docs-3m&set=res&source=3-res");
    await page.getByRole("group", { name: "Tokens to sort by" }).getByRole("button", { name: "error" }).click();
    await page.getByText("by the sum over 1 token").waitFor();
    expect(page.url()).toContain("at=2");
    await page.getByText("assertions and errors").first().waitFor();
    await close();
  });

  test("shows the features of one token, and keeps them when it is clicked", async () => {
    const { page, go, close } = await openPage();
    await go("/search?mode=token&q=an+error+occurred&model=docs-3m&source=3-res");
    const all = await page.getByText(/^\d+ features$/).innerText();
    await page.getByRole("group", { name: "Tokens" }).getByRole("button", { name: "error" }).click();
    await page.waitForFunction((before) => !document.body.innerText.includes(before), all);
    expect(page.url()).toContain("at=");
    await close();
  });
});

describe("a lens", () => {
  test("is the logit or the Jacobian one, and a reading is kept and shared", async () => {
    const { page, complaints, go, close } = await openPage();
    await go(`/lens?q=${encodeURIComponent("The iterator returns an error")}`);
    const cells = () => page.getByRole("table", { name: "The likeliest next token, by layer and token" }).locator("td button").allInnerTexts();
    await page.getByRole("button", { name: /^Layer 0, after/ }).first().waitFor();
    const logit = await cells();
    await page.getByText("Jacobian", { exact: true }).click();
    await page.getByRole("heading", { name: "Jacobian lens" }).waitFor();
    await expect.poll(cells).not.toEqual(logit);
    const jacobian = await cells();
    expect(jacobian.length).toBe(logit.length);
    await page.getByRole("button", { name: "Keep and share" }).click();
    await page.getByRole("link", { name: "Kept, and its link copied" }).waitFor();
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    await go(`${link.pathname}?lens=jacobian`);
    await page.getByRole("heading", { name: "Shared reading" }).waitFor();
    await expect.poll(cells).toEqual(jacobian);
    await page.getByText("Logit", { exact: true }).click();
    await expect.poll(cells).toEqual(logit);
    await screenshot(page, "flow-lens-shared");
    expect(complaints).toEqual([]);
    await go(`/lens/${"0".repeat(32)}`);
    await page.getByText("there is no shared reading").waitFor();
    await close();
  });
});
