/**
 * The browser of the tests, and pages that tell what their console said.
 */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import AxeBuilder from "@axe-core/playwright";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject } from "vitest";

export const LOOKS = {
  light: { viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", hasTouch: true, deviceScaleFactor: 2 },
} as const satisfies Record<string, BrowserContextOptions>;
export type Look = keyof typeof LOOKS;

const screenshots = fileURLToPath(new URL("../../screenshots", import.meta.url));
let browser: Browser;

/** Opens one browser for a file of tests. */
export function withBrowser(): void {
  beforeAll(async () => {
    await mkdir(screenshots, { recursive: true });
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" "),
    });
  });
  afterAll(() => browser.close());
}

export interface Watched {
  readonly page: Page;
  /** Errors of the console and of scripts, as they come. */
  readonly complaints: string[];
  readonly go: (path: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function openPage(look: Look = "light", options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ ...LOOKS[look], ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  const go = async (path: string) => {
    await page.goto(inject("url") + path);
    await settled(page);
  };
  return { page, complaints, go, close: () => context.close() };
}

/** Waits until nothing is being fetched and no outline of what is to come is left. */
export async function settled(page: Page): Promise<void> {
  await page.waitForLoadState("networkidle");
  await page.waitForFunction(() => document.querySelector('[role="status"][aria-label="Loading"]') === null);
  await page.evaluate(() => document.fonts.ready);
}

export async function screenshot(page: Page, name: string): Promise<void> {
  // The browser itself fails to take one now and then on a machine that is short of memory or time.
  for (let left = 2; ; left -= 1) {
    try {
      await page.screenshot({ path: `${screenshots}/${name}.png`, animations: "disabled" });
      return;
    } catch (error) {
      if (left === 0 || !String(error).includes("Unable to capture screenshot")) throw error;
    }
  }
}

/** Fails on what axe-core calls serious or critical. */
export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary?.split("\n")[1] ?? ""}`).join(" | ")}`)).toEqual([]);
}
