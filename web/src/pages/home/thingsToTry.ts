/**
 * Three things to try on the home page, made from what this database holds: nothing is offered that it
 * cannot do.
 */
import { isLive, type Registry } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { type FeatureAddress, featurePath, formatAddress, layerOf } from "@/lib/address.ts";
import { sqlText } from "@/lib/snippets.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import { SUGGESTIONS, type TokenHitRow } from "@/queries/features.ts";

export interface Thing {
  readonly kind: "test" | "steer" | "sql";
  readonly title: string;
  readonly detail: string;
  readonly path: string;
}

export async function thingsToTry(registry: Registry, signal: AbortSignal): Promise<Thing[]> {
  const live = registry.models.find((model) => isLive(model) && model.sources.length > 0);
  const model = live ?? registry.models.find((each) => each.sources.length > 0);
  if (model === undefined) return [];
  const found = await select(SUGGESTIONS, [model.model_id], signal);
  const feature = middlemost(found, model.n_layers ?? 0);
  const address = feature === undefined ? null : addressOf(feature);
  const things: Thing[] = [];
  if (feature !== undefined && address !== null) {
    things.push({
      kind: "test",
      title: "See a feature",
      detail: `${formatAddress(address)} promotes ${feature.promotes.slice(0, 3).map(tokenAlone).join(", ")}`,
      path: featurePath(address),
    });
    if (live !== undefined) {
      things.push({
        kind: "steer",
        title: "Steer by it",
        detail: "the text as the model writes it, and with the feature turned up",
        path: `/steer?${new URLSearchParams({ model: live.model_id, feature: `${formatAddress(address)}@2`, prompt: "The function returns" })}`,
      });
    }
  }
  const sql = `-- How many features of each density, by source.\nSELECT source_id, floor(log10(density) * 4) / 4 AS log_density, count(*) AS features\nFROM features\nWHERE model_id = ${sqlText(model.model_id)} AND density > 0\nGROUP BY source_id, log_density\nORDER BY source_id, log_density`;
  things.push({
    kind: "sql",
    title: "Ask in SQL",
    detail: "how dense are the features of each source?",
    path: `/sql?${new URLSearchParams({ q: sql, run: "1", view: "chart", x: "log_density", y: "features", colour: "source_id", mark: "line" })}`,
  });
  return things;
}

/** Of some features, one from the middle of the model: there they mean most to people. */
function middlemost(found: readonly TokenHitRow[], layers: number): TokenHitRow | undefined {
  const away = ({ source_id }: TokenHitRow) => Math.abs((layerOf(source_id) ?? 0) - layers / 2);
  return found.toSorted((a, b) => away(a) - away(b))[0];
}

function addressOf({ model_id, source_id, index }: TokenHitRow): FeatureAddress {
  return { model: model_id, source: source_id, index };
}
