/**
 * Search by text: the features of a source set that a text makes fire most. Tokens that are clicked are
 * what it sorts by: the sum of a feature's values there.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Model, type Registry, whyNotModel } from "@/api/registry.ts";
import { searchByText, type TextHit, type TextSearch } from "@/api/search.ts";
import { useUrlState } from "@/app/urlState.ts";
import { ModelSelect, SetSelect, SourceChips, startModel } from "@/components/ScopePicker.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { TokenText } from "@/components/TokenText.tsx";
import { formatActivation, plural } from "@/lib/format.ts";
import { DensityLimit, densityThreshold } from "./DensityLimit.tsx";
import { Hit, RecordExamples } from "./Hit.tsx";
import css from "./SearchPage.module.css";
import { TextForm } from "./TextForm.tsx";
import { TokenStrip } from "./TokenStrip.tsx";

const COUNT = 30;

export function TextSearchForm({ registry }: { readonly registry: Registry }) {
  const [parameters, change] = useUrlState();
  const model = startModel(registry, parameters.get("model"));
  const set = parameters.get("set") ?? model?.sets.find((each) => each.sources.length > 0)?.set_id ?? "";
  const whyNot = model === undefined ? "No model of this database can be run: add one under Data." : whyNotModel(registry, model.model_id);
  const query = parameters.get("q") ?? "";
  return (
    <>
      <TextForm label="Text" placeholder="Which features does your text make fire?" onSubmit={(text) => change({ q: text, at: null }, { replace: false })} isDisabled={whyNot !== null}>
        <ModelSelect registry={registry} mustRun value={model?.model_id ?? ""} onChange={(next) => change({ model: next, set: null, source: null, at: null })} />
        {model && <SetSelect model={model} value={set} onChange={(next) => change({ set: next, source: null, at: null })} />}
        <DensityLimit />
        <label className="check" title="Values at the token that begins a text are large and mean little">
          <input type="checkbox" checked={parameters.get("bos") === "1"} onChange={(event) => change({ bos: event.target.checked ? "1" : null })} /> Count the first token
        </label>
      </TextForm>
      {model && (
        <div className={css.form}>
          <SourceChips model={model} set={set} value={parameters.getAll("source")} onChange={(next) => change({ source: next, at: null })} />
        </div>
      )}
      {whyNot !== null ? (
        <Reason>{whyNot}</Reason>
      ) : query === "" || model === undefined ? (
        <Empty title="Run a text through a model, and see which features it makes fire" />
      ) : (
        <Results
          model={model}
          search={{
            model: model.model_id,
            sourceSet: set,
            sources: parameters.getAll("source"),
            text: query,
            sortIndexes: parameters.getAll("at").map(Number).filter(Number.isInteger),
            ignoreBos: parameters.get("bos") !== "1",
            densityThreshold: densityThreshold(parameters),
            count: COUNT,
          }}
        />
      )}
    </>
  );
}

function Results({ model, search }: { readonly model: Model; readonly search: TextSearch }) {
  const [, change] = useUrlState();
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["by-text", search],
    queryFn: ({ signal }) => searchByText(search, signal),
    placeholderData: keepPreviousData,
  });
  const [hovered, setHovered] = useState<TextHit | null>(null);
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Skeleton lines={8} height={26} />;
  const { sortIndexes } = search;
  const toggle = (position: number) => {
    const next = sortIndexes.includes(position) ? sortIndexes.filter((each) => each !== position) : [...sortIndexes, position];
    change({ at: next.toSorted((a, b) => a - b).map(String) });
  };
  return (
    <section aria-label="Results" aria-busy={isFetching}>
      <div className="stack">
        <TokenStrip label="Tokens to sort by" tokens={data.tokens} values={hovered?.values ?? []} chosen={sortIndexes} onChoose={toggle} />
        <p className={css.status} aria-live="polite">
          <span>
            {plural(data.result.length, "feature")} of {model.model_id}, by {sortIndexes.length === 0 ? "their largest value" : `the sum over ${plural(sortIndexes.length, "token")}`}
          </span>
          {sortIndexes.length > 0 && (
            <button type="button" className="button small quiet" onClick={() => change({ at: null })}>
              All tokens
            </button>
          )}
        </p>
      </div>
      {data.result.length === 0 ? (
        <Empty title="No feature fires on this text" />
      ) : (
        <ul className={css.hits}>
          {data.result.map((hit) => (
            <TextRow key={`${hit.layer}/${hit.index}`} hit={hit} tokens={data.tokens} isSummed={sortIndexes.length > 0} onHover={(isOver) => setHovered(isOver ? hit : null)} />
          ))}
        </ul>
      )}
    </section>
  );
}

interface RowProps {
  readonly hit: TextHit;
  readonly tokens: readonly string[];
  readonly isSummed: boolean;
  readonly onHover: (isOver: boolean) => void;
}

function TextRow({ hit, tokens, isSummed, onHover }: RowProps) {
  const address = { model: hit.modelId, source: hit.layer, index: Number(hit.index) };
  const label = hit.neuron?.explanations[0]?.description ?? null;
  return (
    <Hit
      address={address}
      label={label}
      promotes={hit.neuron?.pos_str ?? []}
      density={hit.neuron?.frac_nonzero ?? null}
      maximum={hit.neuron?.maxActApprox ?? null}
      onHover={onHover}
      measure={
        <>
          {formatActivation(isSummed ? hit.sumValues : hit.maxValue)}
          <small>{isSummed ? "sum" : "max"}</small>
        </>
      }
    >
      <div className={css.examples}>
        <TokenText tokens={tokens} values={hit.values} most={hit.maxValue} anchor={hit.maxValueIndex} />
        <RecordExamples record={hit.neuron} count={1} />
      </div>
    </Hit>
  );
}

