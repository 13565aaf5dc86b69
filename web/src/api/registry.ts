/**
 * What the database holds, joined: models with their source sets and sources, each with its counts.
 *
 * Menus, breadcrumbs and pages read it from here; whether a model can be run, and if not why, is told
 * here once.
 */
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import * as queries from "@/queries/registry.ts";
import { select } from "./sql.ts";

export interface Source extends queries.SourceRow {
  readonly features: number;
  readonly dead: number;
  readonly meanDensity: number | null;
  readonly mapped: number;
  readonly explanations: number;
  readonly explained: number;
}

export interface SourceSet extends queries.SourceSetRow {
  readonly sources: readonly Source[];
}

export interface Model extends queries.ModelRow {
  readonly sets: readonly SourceSet[];
  readonly sources: readonly Source[];
}

export interface Registry {
  readonly models: readonly Model[];
}

export function useRegistry(): UseQueryResult<Registry, Error> {
  return useQuery({ queryKey: ["registry"], queryFn: ({ signal }) => readRegistry(signal), staleTime: 30_000 });
}

async function readRegistry(signal: AbortSignal): Promise<Registry> {
  const [models, sets, sources, features, explanations] = await Promise.all([
    select(queries.MODELS, [], signal),
    select(queries.SOURCE_SETS, [], signal),
    select(queries.SOURCES, [], signal),
    select(queries.FEATURE_COUNTS, [], signal),
    select(queries.EXPLANATION_COUNTS, [], signal),
  ]);
  const featuresOf = new Map(features.map((row) => [sourceKey(row), row]));
  const explanationsOf = new Map(explanations.map((row) => [sourceKey(row), row]));
  const counted = sources.map((row): Source => {
    const counts = featuresOf.get(sourceKey(row));
    const labels = explanationsOf.get(sourceKey(row));
    return {
      ...row,
      features: counts?.features ?? 0,
      dead: counts?.dead ?? 0,
      meanDensity: counts?.mean_density ?? null,
      mapped: counts?.mapped ?? 0,
      explanations: labels?.explanations ?? 0,
      explained: labels?.explained ?? 0,
    };
  });
  return { models: models.map((model) => joined(model, sets, counted)) };
}

function joined(model: queries.ModelRow, sets: readonly queries.SourceSetRow[], all: readonly Source[]): Model {
  const sources = all.filter((source) => source.model_id === model.model_id);
  const own = sets.filter((set) => set.model_id === model.model_id);
  const known = new Set(own.map((set) => set.set_id));
  // A source may name a set that has no row of its own.
  const unknown = [...new Set(sources.map((source) => source.set_id))].filter((id) => !known.has(id));
  const bare = unknown.map((set_id) => ({ ...EMPTY_SET, model_id: model.model_id, set_id }));
  const withSources = [...own, ...bare].map((set) => ({
    ...set,
    sources: sources.filter((source) => source.set_id === set.set_id),
  }));
  return { ...model, sets: withSources, sources };
}

const EMPTY_SET = { kind: null, release_id: null, description: null, creator_name: null, urls: null };

function sourceKey({ model_id, source_id }: { model_id: string; source_id: string }): string {
  return `${model_id}/${source_id}`;
}

export function modelName(model: queries.ModelRow): string {
  return model.display_name ?? model.model_id;
}

export function findModel(registry: Registry | undefined, id: string | null | undefined): Model | undefined {
  return registry?.models.find((model) => model.model_id === id);
}

export function findSource(
  registry: Registry | undefined,
  model: string | null | undefined,
  source: string | null | undefined,
): Source | undefined {
  return findModel(registry, model)?.sources.find((each) => each.source_id === source);
}

export function isLive(model: queries.ModelRow): boolean {
  return model.weights_uri !== null;
}

/** Whether the source can be run: with weights, or neurons, which are the model's own. */
export function isSourceLive(source: queries.SourceRow): boolean {
  return source.weights_uri !== null || /^\d+$/.test(source.source_id);
}

/** Why a text cannot be run through a model, and the remedy; null if it can. */
export function whyNotModel(registry: Registry | undefined, id: string): string | null {
  const model = findModel(registry, id);
  if (registry === undefined) return null;
  if (model === undefined) return `There is no model ${id} in this database.`;
  if (isLive(model)) return null;
  return `The weights of ${id} are not here, so it cannot be run. Add them under Data, or with: latentdb model add ${id} FROM`;
}

/** Why a text cannot be run through a source, and the remedy; null if it can. */
export function whyNotSource(registry: Registry | undefined, model: string, id: string): string | null {
  const missing = whyNotModel(registry, model);
  if (missing !== null || registry === undefined) return missing;
  const source = findSource(registry, model, id);
  if (source === undefined || isSourceLive(source)) return null;
  return `The weights of ${model}/${id} are not here, so its features cannot be computed. Add them under Data, or with: latentdb source add ${model}/${id} FROM`;
}
