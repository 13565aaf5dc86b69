/**
 * Token by token: the features of one source that fire most at each token of a text.
 *
 * Resting on a token shows its features alone, a click keeps that; resting on a feature lights up its
 * tokens.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { findSource, type Registry, whyNotSource } from "@/api/registry.ts";
import { searchByToken, type TokenPosition, type TokenSearch } from "@/api/search.ts";
import { numberOf, useUrlState } from "@/app/urlState.ts";
import { ModelSelect, SourceSelect, startModel } from "@/components/ScopePicker.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { formatActivation, plural } from "@/lib/format.ts";
import { DensityLimit, densityThreshold } from "./DensityLimit.tsx";
import { Hit } from "./Hit.tsx";
import css from "./SearchPage.module.css";
import { TextForm } from "./TextForm.tsx";
import { TokenStrip } from "./TokenStrip.tsx";
import { gathered, sorted, type TokenSort } from "./tokenFeatures.ts";
import { usePromotes } from "./usePromotes.ts";

const LISTED = 60;

export function TokenSearchForm({ registry }: { readonly registry: Registry }) {
  const [parameters, change] = useUrlState();
  const model = startModel(registry, parameters.get("model"));
  const source = parameters.get("source") ?? model?.sources[0]?.source_id ?? "";
  const whyNot = model === undefined ? "No model of this database can be run: add one under Data." : whyNotSource(registry, model.model_id, source);
  const query = parameters.get("q") ?? "";
  return (
    <>
      <TextForm label="Text" placeholder="Which features fire at each token of your text?" onSubmit={(text) => change({ q: text, at: null }, { replace: false })} isDisabled={whyNot !== null}>
        <ModelSelect registry={registry} mustRun value={model?.model_id ?? ""} onChange={(next) => change({ model: next, source: null })} />
        {model && <SourceSelect model={model} mustRun value={source} onChange={(next) => change({ source: next })} />}
        <label className="field">
          <span>Features at a token</span>
          <input className="input" type="number" min={1} max={20} value={parameters.get("k") ?? "10"} onChange={(event) => change({ k: event.target.value })} />
        </label>
        <DensityLimit />
      </TextForm>
      {whyNot !== null ? (
        <Reason>{whyNot}</Reason>
      ) : query === "" || model === undefined || findSource(registry, model.model_id, source) === undefined ? (
        <Empty title="See a text as a source sees it: its features, token by token" />
      ) : (
        <Results
          search={{
            model: model.model_id,
            source,
            text: query,
            ignoreBos: parameters.get("bos") !== "1",
            densityThreshold: densityThreshold(parameters),
            count: Math.min(Math.max(Math.trunc(numberOf(parameters, "k") ?? 10), 1), 20),
          }}
        />
      )}
    </>
  );
}

function Results({ search }: { readonly search: TokenSearch }) {
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["by-token", search],
    queryFn: ({ signal }) => searchByToken(search, signal),
    placeholderData: keepPreviousData,
  });
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Skeleton lines={8} height={26} />;
  return (
    <section aria-label="Results" aria-busy={isFetching}>
      <TokensAndFeatures positions={data.results} search={search} />
    </section>
  );
}

function TokensAndFeatures({ positions, search }: { readonly positions: readonly TokenPosition[]; readonly search: TokenSearch }) {
  const [parameters, change] = useUrlState();
  const sort = (parameters.get("sortBy") ?? "frequency") as TokenSort;
  const locked = numberOf(parameters, "at");
  const [hovered, setHovered] = useState<number | null>(null);
  const [feature, setFeature] = useState<number | null>(null);
  const at = locked ?? hovered;
  const all = gathered(positions);
  const shown = sorted(at === null ? all : all.filter((each) => each.positions.has(at)), sort, at);
  const listed = shown.slice(0, LISTED);
  const promotes = usePromotes(search.model, search.source, listed.filter((each) => each.label === null).map((each) => each.index));
  const values = positions.map((_, position) => (feature === null ? 0 : (all.find((each) => each.index === feature)?.positions.get(position) ?? 0)));
  return (
    <div className={css.side}>
      <div className="stack">
        <TokenStrip
          label="Tokens"
          tokens={positions.map((position) => position.token)}
          values={values}
          chosen={locked === null ? [] : [locked]}
          onChoose={(position) => change({ at: position === locked ? null : position.toString() })}
          onHover={setHovered}
        />
        <p className="muted">{locked === null ? "Rest on a token to see its features; click to keep them." : "Click the token again to see all features."}</p>
      </div>
      <div>
        <div className={css.status}>
          <span aria-live="polite">{plural(shown.length, "feature")}</span>
          <Segments
            name="Sort"
            value={sort}
            options={[
              ["frequency", "Tokens"],
              ["max", "Max"],
              ["density", "Density"],
            ]}
            onChange={(next) => change({ sortBy: next === "frequency" ? null : next })}
          />
        </div>
        <ul className={css.hits}>
          {listed.map((each) => (
            <Hit
              key={each.index}
              address={{ model: search.model, source: search.source, index: each.index }}
              label={each.label}
              promotes={promotes.get(each.index) ?? []}
              density={each.density}
              isLit={feature === each.index}
              onHover={(isOver) => setFeature(isOver ? each.index : null)}
              measure={
                <>
                  {formatActivation(at === null ? each.most : each.positions.get(at))}
                  <small>{plural(each.positions.size, "token")}</small>
                </>
              }
            />
          ))}
        </ul>
        {shown.length > LISTED && <p className={css.more}>and {shown.length - LISTED} more; choose a token to see its own</p>}
      </div>
    </div>
  );
}
