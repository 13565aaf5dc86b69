/**
 * How fast the app is. Times are printed, and written to the file that LATENTDB_FIGURES names; they gate nothing, because
 * they measure as well what else the machine is doing. The size of the script is the same everywhere, and has a bound.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { afterAll, expect, inject, test } from "vitest";
import { openPage, withBrowser } from "./browser.ts";

withBrowser();

const figures: Record<string, number | number[]> = {};

afterAll(async () => {
  const file = process.env.LATENTDB_FIGURES;
  if (file !== undefined) await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`);
});

const dist = (path: string) => fileURLToPath(new URL(`../../dist${path}`, import.meta.url));

test("the initial script is under 300 kB gzipped", async () => {
  const html = await readFile(dist("/index.html"), "utf8");
  const scripts = [...html.matchAll(/(?:src|href)="(\/[^"]+\.js)"/g)].flatMap(([, path]) => (path === undefined ? [] : [path]));
  const sizes = await Promise.all(scripts.map(async (path) => gzipSync(await readFile(dist(path))).length));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  figures.initial_script_bytes_gzipped = total;
  console.info(`initial script: ${(total / 1000).toFixed(1)} kB gzipped`);
  expect(scripts.length).toBeGreaterThan(0);
  expect(total).toBeLessThan(300_000);
});

test("a cold dashboard can be used as soon as it is there", async () => {
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const { page, close } = await openPage();
    await watchTasks(page);
    const started = performance.now();
    await page.goto(`${inject("url")}/docs-3m/3-res/${80 + round}`, { waitUntil: "commit" });
    await page.getByRole("heading", { name: "Top activations" }).waitFor();
    await page.getByRole("textbox", { name: "Text to test" }).click();
    times.push(performance.now() - started);
    if (round === 0) {
      const longest = await longestTask(page);
      figures.dashboard_longest_task_ms = longest;
      console.info(`longest task of a dashboard: ${longest.toFixed(0)} ms`);
    }
    await close();
  }
  const median = times.toSorted((a, b) => a - b)[2] ?? Number.NaN;
  console.info(`dashboard to the first use: ${times.map((time) => time.toFixed(0)).join(", ")} ms; median ${median.toFixed(0)} ms`);
  figures.dashboard_to_first_use_ms = times;
});

test("24,576 features scroll in a table of few rows", async () => {
  const { page, go, close } = await openPage();
  await go("/large/0-big");
  await page.getByText("24,576 features").first().waitFor();
  expect(await page.getByRole("row").count()).toBeLessThan(80);
  await watchTasks(page);
  await page.mouse.move(700, 600);
  const rounds: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    for (let step = 0; step < 50; step += 1) {
      await page.mouse.wheel(0, step % 10 === 9 ? 20_000 : 600);
      await page.waitForTimeout(30);
    }
    await page.waitForTimeout(400);
    rounds.push(await longestTask(page));
  }
  console.info(`longest task while scrolling 24,576 features, by round: ${rounds.map((longest) => (longest === 0 ? "under 50" : longest.toFixed(0))).join(", ")} ms`);
  figures.scrolling_longest_task_by_round_ms = rounds;
  expect(await page.getByRole("row").count()).toBeLessThan(80);
  await close();
});

/** Notes tasks that take longer than 50 ms from now on; the browser tells of no shorter ones. */
async function watchTasks(page: Page): Promise<void> {
  const note = () => {
    const watched = window as unknown as { longest: number };
    watched.longest = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) watched.longest = Math.max(watched.longest, entry.duration);
    }).observe({ type: "longtask" });
  };
  await page.addInitScript(note);
  if (page.url() !== "about:blank") await page.evaluate(note);
}

/** The longest since it was last asked; 0 is none over 50 ms. */
async function longestTask(page: Page): Promise<number> {
  return page.evaluate(() => {
    const watched = window as unknown as { longest: number };
    const { longest } = watched;
    watched.longest = 0;
    return longest;
  });
}
