/**
 * Search by explanation: by meaning, by words, or by both; over everything, a model, or some sources.
 *
 * Where nothing was chosen it goes by meaning, and by words if this server cannot embed a query; it
 * says so then.
 */
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Registry } from "@/api/registry.ts";
import { type ExplanationFilters, type ExplanationHit, type ExplanationMode, type ExplanationPage, searchExplanations } from "@/api/search.ts";
import { ServerError } from "@/api/error.ts";
import { numberOf, useUrlState } from "@/app/urlState.ts";
import { ModelSelect, SetSelect, SourceChips } from "@/components/ScopePicker.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { TypedField } from "@/components/TypedField.tsx";
import { formatCosine, formatScore, plural } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { Hit, RecordExamples } from "./Hit.tsx";
import css from "./SearchPage.module.css";
import { WordForm } from "./WordForm.tsx";

const SHORTEST = 3;

interface Found extends ExplanationPage {
  /** What the page was searched by. */
  readonly by: ExplanationMode;
  /** Why it was not searched by meaning. */
  readonly whyWords: string | null;
}

export function LabelSearch({ registry }: { readonly registry: Registry }) {
  const [parameters, change] = useUrlState();
  const query = parameters.get("q") ?? "";
  const by = parameters.get("by") as ExplanationMode | null;
  const model = registry.models.find((each) => each.model_id === parameters.get("model"));
  const set = parameters.get("set") ?? "";
  const chosen = parameters.getAll("source");
  const sources = chosen.length > 0 ? chosen : (model?.sets.find((each) => each.set_id === set)?.sources.map((source) => source.source_id) ?? []);
  return (
    <>
      <WordForm label="Explanation" placeholder="What should the feature be about?" shortest={SHORTEST}>
        <div className={css.options}>
          <ModelSelect registry={registry} any="All models" value={model?.model_id ?? ""} onChange={(next) => change({ model: next, set: null, source: null })} />
          {model && <SetSelect model={model} any="All sets" value={set} onChange={(next) => change({ set: next, source: null })} />}
          <TypedField name="dmax" label="Density to, %" isNumber />
          <TypedField name="smin" label="Score from" isNumber />
          <div className={css.pair}>
          <Segments
            name="How to compare"
            value={by ?? "meaning"}
            options={[
              ["meaning", "Meaning"],
              ["words", "Words"],
              ["both", "Both"],
            ]}
            onChange={(next) => change({ by: next })}
          />
          </div>
        </div>
        {model && <SourceChips model={model} set={set} value={chosen} onChange={(next) => change({ source: next })} />}
      </WordForm>
      {query.trim().length < SHORTEST ? (
        <Empty title="Search what features were explained as">
          <p>By words there are phrases in quotes, OR, NOT, prefix* and fuzzy~.</p>
        </Empty>
      ) : (
        <Results query={query} by={by} model={model?.model_id ?? null} sources={sources} />
      )}
    </>
  );
}

interface ResultsProps {
  readonly query: string;
  readonly by: ExplanationMode | null;
  readonly model: string | null;
  readonly sources: readonly string[];
}

function Results({ query, by, model, sources }: ResultsProps) {
  const [parameters, change] = useUrlState();
  const filters = filtersOf(parameters);
  const { data, error, isPending, isFetching, hasNextPage, fetchNextPage, refetch } = useInfiniteQuery({
    queryKey: ["explanations", query, by, model, sources, filters],
    queryFn: ({ pageParam, signal }) => searched({ query, by, scope: { model, sources, release: null }, filters }, pageParam, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => (last.hasMore ? last.nextOffset : undefined),
  });
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (isPending) return <Skeleton lines={8} height={26} />;
  const hits = data.pages.flatMap((page) => page.results);
  const first = data.pages[0];
  return (
    <section aria-label="Results" aria-busy={isFetching}>
      {first?.whyWords && (
        <div className={css.status}>
          <Reason>Searched by words: this server cannot compare meanings now. {inert(first.whyWords)}</Reason>
        </div>
      )}
      <p className={css.status} aria-live="polite">
        <span>
          {hits.length === 0 ? "Nothing found" : plural(hits.length, "explanation")}
          {hasNextPage && " so far"}
        </span>
      </p>
      {hits.length === 0 ? (
        <Empty title="No explanation fits">
          {Object.keys(filters).length > 0 ? (
            <button type="button" className="button" onClick={() => change({ dmax: null, smin: null })}>
              Search without the filters
            </button>
          ) : first?.by === "meaning" ? (
            <button type="button" className="button" onClick={() => change({ by: "words" })}>
              Search by words
            </button>
          ) : (
            <p>Try fewer words, or prefix* and fuzzy~.</p>
          )}
        </Empty>
      ) : (
        <ul className={css.hits}>
          {hits.map((hit) => (
            <ExplanationRow key={hit.id} hit={hit} />
          ))}
        </ul>
      )}
      {hasNextPage && (
        <div className={css.more}>
          <button type="button" className="button" disabled={isFetching} onClick={() => void fetchNextPage()}>
            More
          </button>
        </div>
      )}
    </section>
  );
}

function ExplanationRow({ hit }: { readonly hit: ExplanationHit }) {
  const address = { model: hit.modelId, source: hit.layer, index: Number(hit.index) };
  const measure =
    hit.cosine_similarity !== null ? (
      <>
        {formatCosine(hit.cosine_similarity)}
        <small>cosine</small>
      </>
    ) : (
      <>
        {hit.score?.toFixed(hit.score < 0.1 ? 3 : 2) ?? "–"}
        <small>words</small>
      </>
    );
  const score = scoreOf(hit);
  const made = [hit.typeName, hit.explanationModelName, score === null ? null : `score ${formatScore(score)}`].filter(Boolean).join(" · ");
  return (
    <Hit address={address} measure={measure} label={hit.description} density={hit.neuron?.frac_nonzero ?? null} maximum={hit.neuron?.maxActApprox ?? null} made={made}>
      <RecordExamples record={hit.neuron} />
    </Hit>
  );
}

/** The mean of an explanation's scores; null without any. */
function scoreOf(hit: ExplanationHit): number | null {
  const scores = hit.neuron?.explanations.find((explanation) => explanation.id === hit.id)?.scores.flatMap(({ value }) => (value === null ? [] : [value])) ?? [];
  return scores.length === 0 ? null : scores.reduce((sum, value) => sum + value, 0) / scores.length;
}

/** The filters as the server takes them; they stand in the address in percent. */
function filtersOf(parameters: URLSearchParams): ExplanationFilters {
  const [densest, leastScore] = [numberOf(parameters, "dmax"), numberOf(parameters, "smin")];
  return {
    ...(densest !== null && { maxDensity: Math.min(Math.max(densest / 100, 0), 1) }),
    ...(leastScore !== null && { minScore: leastScore / 100 }),
  };
}

interface Search {
  readonly query: string;
  readonly by: ExplanationMode | null;
  readonly scope: Parameters<typeof searchExplanations>[2];
  readonly filters: ExplanationFilters;
}

/** A page by what was asked; where nothing was, by meaning, or by words if meanings cannot be compared. */
async function searched({ query, by, scope, filters }: Search, offset: number, signal: AbortSignal): Promise<Found> {
  if (by !== null) return { ...(await searchExplanations(query, by, scope, filters, offset, signal)), by, whyWords: null };
  try {
    return { ...(await searchExplanations(query, "meaning", scope, filters, offset, signal)), by: "meaning", whyWords: null };
  } catch (error) {
    // Only a server that lacks the embedding model is asked again.
    if (!(error instanceof ServerError) || error.status === 400 || error.status === 0) throw error;
    const page = await searchExplanations(query, "words", scope, filters, offset, signal);
    return { ...page, by: "words", whyWords: error.message };
  }
}
