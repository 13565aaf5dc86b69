/**
 * Pages over parts of the server that take too long, or cannot be brought about, in a test: answers are
 * given by the test, in the shapes of the HTTP documentation.
 */
import { readFile } from "node:fs/promises";
import type { Page, Route } from "playwright-core";
import { describe, expect, inject, test } from "vitest";
import { expectAccessible, openPage, screenshot, withBrowser } from "./browser.ts";

withBrowser();

const RUNNING = {
  id: "job-1",
  kind: "statement",
  title: "CALL generate_dashboards('docs-3m', '3-res', …)",
  state: "running",
  progress: { done: 128, total: 768, unit: "prompts", message: "about 20 s left" },
  started_at: "2026-01-01T12:00:00Z",
  finished_at: null,
  error: null,
};

const answer = (route: Route, body: unknown, status = 200) => route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) });

/** A server with one job; what was asked of it. */
async function withJob(page: Page): Promise<{ state: string; asked: string[]; started: unknown[] }> {
  const server = { state: "running", asked: [] as string[], started: [] as unknown[] };
  const job = () => ({ ...RUNNING, state: server.state, error: server.state === "failed" ? { message: "out of memory", hint: "give it more" } : null });
  await page.route("**/v1/jobs**", async (route) => {
    const request = route.request();
    const path = new URL(request.url()).pathname;
    server.asked.push(`${request.method()} ${path}`);
    if (request.method() === "DELETE") server.state = "cancelled";
    if (path.endsWith("/resume")) server.state = "running";
    if (request.method() === "POST" && path === "/v1/jobs") server.started.push(request.postDataJSON());
    if (request.method() === "GET" && path === "/v1/jobs") await answer(route, [job()]);
    else await answer(route, job(), request.method() === "POST" ? 202 : 200);
  });
  return server;
}

describe("a job", () => {
  test("shows how far it is, is stopped, goes on, fails and ends", async () => {
    const { page, complaints, go, close } = await openPage();
    const server = await withJob(page);
    await go("/data");
    const job = page.getByRole("article", { name: /generate_dashboards/ });
    await job.getByText("128 of 768 prompts about 20 s left").waitFor();
    expect(await job.getByRole("progressbar").getAttribute("value")).toBe(String(128 / 768));
    await screenshot(page, "data-job-light");
    await expectAccessible(page);
    await job.getByRole("button", { name: "Stop" }).click();
    await job.getByText("stopped").waitFor();
    await job.getByRole("button", { name: "Go on" }).click();
    await job.getByText("running").waitFor();
    server.state = "failed";
    await job.getByText("out of memory. give it more").waitFor();
    server.state = "done";
    await page.reload();
    await job.getByText("done").waitFor();
    expect(server.asked).toEqual(expect.arrayContaining(["DELETE /v1/jobs/job-1", "POST /v1/jobs/job-1/resume"]));
    expect(complaints).toEqual([]);
    await close();
  });

  test("is what a form or a procedure asks for, with names quoted", async () => {
    const { page, go, close } = await openPage();
    const server = await withJob(page);
    await go("/data?add=dashboards");
    await page.getByLabel("Model", { exact: true }).fill("o'neil");
    await page.getByLabel("Source, or source set").fill("3-res");
    await page.getByLabel(/^Corpus/).fill("SELECT 'a' AS text");
    await page.getByLabel("Prompts at most").fill("100");
    await page.getByRole("button", { name: "Make dashboards" }).click();
    await expect.poll(() => server.started.length).toBe(1);
    await go(`/sql?q=${encodeURIComponent("CALL optimize('features')")}`);
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText("128 of 768 prompts").waitFor();
    expect(server.started).toEqual([
      { kind: "statement", sql: "CALL generate_dashboards('o''neil', '3-res', 'SELECT ''a'' AS text', n_prompts => 100)" },
      { kind: "statement", sql: "CALL optimize('features')" },
    ]);
    await close();
  });
});

const DOCUMENT = {
  openapi: "3.1.0",
  info: { title: "LatentDB", version: "0.1.0" },
  paths: {
    "/api/tokenize": {
      post: {
        tags: ["Inference"],
        summary: "A text's tokens",
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Tokenize" } } } },
        responses: { "200": { description: "The tokens", content: { "application/json": { schema: { type: "object", properties: { tokens: { type: "array", items: { type: "integer" } } } } } } } },
      },
    },
    "/api/feature/{model}/{source}/{index}": {
      get: {
        tags: ["Features"],
        summary: "A feature",
        parameters: ["model", "source", "index"].map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
        responses: { "200": { description: "The feature" }, "404": { description: "There is none" } },
      },
    },
  },
  components: {
    schemas: {
      Tokenize: {
        type: "object",
        required: ["modelId", "prompt"],
        properties: { modelId: { type: "string", example: "docs-3m" }, prompt: { type: "string", example: "The iterator" }, prependBos: { type: "boolean", default: true } },
      },
    },
  },
};

describe("the types of the server's routes", () => {
  test("are made of what the server says of itself", async ({ skip }) => {
    const answered = await fetch(`${inject("url")}/openapi.json`);
    if (!answered.ok) skip("this server does not describe itself");
    const copy = await readFile(new URL("../../openapi.json", import.meta.url), "utf8");
    const remedy = "keep the server's /openapi.json as web/openapi.json";
    expect(JSON.parse(copy), remedy).toEqual(await answered.json());
  });
});

describe("the API page", () => {
  test("is made of the server's document, and tries routes on the server", async () => {
    const { page, complaints, go, close } = await openPage();
    await page.route("**/openapi.json", (route) => answer(route, DOCUMENT));
    await go("/api-reference");
    await page.getByRole("button", { name: "POST /api/tokenize" }).click();
    expect(JSON.parse(await page.getByLabel("Body").inputValue())).toEqual({ modelId: "docs-3m", prompt: "The iterator" });
    await page.getByRole("button", { name: "Try" }).click();
    await page.getByText('"tokenStrings"').first().waitFor();
    await screenshot(page, "api-tried-light");
    await expectAccessible(page);
    await page.getByRole("button", { name: /^GET/ }).click();
    for (const [name, value] of [["model", "docs-3m"], ["source", "3-res"], ["index", "80"]] as const) await page.getByLabel(`${name} path`).fill(value);
    await page.getByRole("button", { name: "Try" }).click();
    await page.getByText('"maxActApprox"').first().waitFor();
    expect(complaints).toEqual([]);
    await close();
  });
});
