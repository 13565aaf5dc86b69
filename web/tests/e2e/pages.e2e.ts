/**
 * Every page, in light, dark and on a phone: it draws itself, complains about nothing, is accessible,
 * fits the width, and leaves a picture for people to look at.
 */
import { describe, expect, inject, test } from "vitest";
import { expectAccessible, LOOKS, type Look, openPage, screenshot, settled, withBrowser } from "./browser.ts";

const TEXT = encodeURIComponent("The iterator returns an error when it is done");
const CHART = encodeURIComponent(
  "SELECT source_id, floor(log10(density) * 4) / 4 AS log_density, count(*) AS features FROM features WHERE model_id = 'docs-3m' AND density > 0 GROUP BY source_id, log_density ORDER BY 1, 2",
);
const LIST = encodeURIComponent(JSON.stringify([{ modelId: "docs-3m", layer: "3-res", index: "[80, 716]" }, { modelId: "tiny-stdlib", layer: "1-res-tiny-db", index: 3 }]));

const PAGES: ReadonlyArray<readonly [name: string, path: string, shows: string]> = [
  ["home", "/", "docs-3m"],
  ["model", "/docs-3m", "3-res"],
  ["source", "/docs-3m/3-res?sort=density&order=desc", "mean density"],
  ["source-map", "/docs-3m/3-res?tab=map", "Whole map"],
  ["source-about", "/docs-3m/3-res?tab=about", "Load it"],
  ["source-set", "/docs-3m/res", "Mean density"],
  ["feature", `/docs-3m/3-res/80?defaulttesttext=${TEXT}`, "assertions and errors"],
  ["feature-imported", "/tiny-stdlib/1-res-tiny-db/3", "Top activations"],
  ["feature-missing", "/docs-3m/3-res/99999", "There is no feature"],
  ["feature-embedded", "/docs-3m/3-res/80?embed=true", "Top activations"],
  ["search-label", "/search?mode=label&by=words&q=error*", "assertions and errors"],
  ["search-text", `/search?mode=text&q=${TEXT}&model=docs-3m&set=res&source=3-res`, "by their largest value"],
  ["search-token", `/search?mode=token&q=${TEXT}&model=docs-3m&source=3-res`, "Rest on a token"],
  ["search-logit", "/search?mode=logit&q=error", "Search"],
  ["steer", "/steer?model=docs-3m&feature=docs-3m/3-res/80@2", "Steered by"],
  ["sql", `/sql?q=${encodeURIComponent("SELECT model_id, source_id, index, density, top_logit_tokens FROM features WHERE model_id = 'docs-3m' LIMIT 500")}&run=1`, "500 rows"],
  ["sql-chart", `/sql?q=${CHART}&run=1&view=chart&x=log_density&y=features&colour=source_id&mark=line`, "Colour"],
  ["sql-error", "/sql?q=SELECT+nothing+FROM+features&run=1", "does not exist"],
  ["lens", `/lens?q=${TEXT}`, "layer"],
  ["lens-jacobian", `/lens?q=${TEXT}&lens=jacobian&words=1`, "layer"],
  ["evals", "/evals", "explained_variance"],
  ["data", "/data", "Import an export"],
  ["quick-list", `/quick-list?name=A+list&features=${LIST}`, "3 features"],
  ["api", "/api-reference", "API"],
  ["not-found", "/a/b/c/d", "There is no such page"],
];

/** Pages on which the server is meant to refuse something. */
const REFUSED = new Set(["feature-missing", "sql-error"]);

withBrowser();

describe.each(Object.keys(LOOKS) as Look[])("in %s", (look) => {
  test.each(PAGES)("%s", async (name, path, shows) => {
    const { page, complaints, go, close } = await openPage(look);
    await go(path);
    await page.getByText(shows, { exact: false }).filter({ visible: true }).first().waitFor();
    await settled(page);
    await screenshot(page, `${name}-${look}`);
    await expectAccessible(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), "wider than the window").toBeLessThanOrEqual(0);
    expect(complaints.filter((each) => !isExpected(name, each))).toEqual([]);
    await close();
  });
});

function isExpected(name: string, complaint: string): boolean {
  if (!/Failed to load resource/.test(complaint)) return false;
  return REFUSED.has(name) || (!inject("hasJobs") && /\/v1\/jobs|\/openapi\.json/.test(complaint));
}
