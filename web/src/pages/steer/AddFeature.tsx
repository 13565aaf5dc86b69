/**
 * Adding a feature or a vector: by words of its explanation, by a token that it promotes, by its address,
 * or, for vectors, from the list.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useDeferredValue, useId, useState } from "react";
import type { Model } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { TokenChips } from "@/components/TokenChips.tsx";
import { parseAddress, parseIndex } from "@/lib/address.ts";
import { inert } from "@/lib/inert.ts";
import { EXPLAINED_WITH, PROMOTES_AMONG, VECTORS as VECTOR_ROWS } from "@/queries/steering.ts";
import css from "./SteerPage.module.css";
import { type SteerItem, VECTORS } from "./steerState.ts";

interface Choice {
  readonly item: SteerItem;
  readonly label: string | null;
  readonly promotes: readonly string[];
}

export function AddFeature({ model, onAdd }: { readonly model: Model; readonly onAdd: (item: SteerItem) => void }) {
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text.trim());
  const id = useId();
  const { data: choices } = useQuery({
    queryKey: ["steer-choices", model.model_id, wanted],
    queryFn: ({ signal }) => choicesFor(model, wanted, signal),
    enabled: wanted !== "",
    placeholderData: keepPreviousData,
  });
  const add = (choice: Choice) => {
    onAdd(choice.item);
    setText("");
  };
  const shown = wanted === "" ? [] : (choices ?? []);
  return (
    <form
      className={css.add}
      onSubmit={(event) => {
        event.preventDefault();
        const first = shown[0];
        if (first !== undefined) add(first);
      }}
    >
      <input
        className="input"
        data-search
        aria-label="Add a feature or vector"
        aria-controls={id}
        placeholder="Add: words, a token, or source/index"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") setText("");
        }}
      />
      <ul id={id} className={css.choices} aria-label="What can be added">
        {shown.map((choice, at) => (
          <li key={at}>
            <button type="button" onClick={() => add(choice)}>
              <Plus size={13} aria-hidden />
              {choice.label ? <span className="label-text">{inert(choice.label, 100)}</span> : <TokenChips tokens={choice.promotes} />}
              <span className="muted">
                {inert(choice.item.source, 30)}/{inert(choice.item.index, 30)}
              </span>
            </button>
          </li>
        ))}
        {wanted !== "" && choices?.length === 0 && <li className="muted">Nothing of {inert(model.model_id, 40)} fits</li>}
      </ul>
    </form>
  );
}

function feature(source: string, index: number): SteerItem {
  return { source, index: index.toString(), strength: { times: 2 }, isOff: false };
}

async function choicesFor(model: Model, text: string, signal: AbortSignal): Promise<Choice[]> {
  const direct = addressed(model, text);
  const [explained, promoting, vectors] = await Promise.all([
    select(EXPLAINED_WITH, [model.model_id, text], signal),
    select(PROMOTES_AMONG, [model.model_id, text, ` ${text}`], signal),
    select(VECTOR_ROWS, [model.model_id], signal),
  ]);
  return [
    ...direct,
    ...vectors
      .filter(({ vector_id, label }) => `${vector_id} ${label ?? ""} vector`.toLowerCase().includes(text.toLowerCase()))
      .map((row) => ({
        item: { source: VECTORS, index: row.vector_id, strength: { exactly: row.default_strength ?? 1 }, isOff: false },
        label: row.label ?? row.vector_id,
        promotes: [],
      })),
    ...explained.map((row) => ({ item: feature(row.source_id, row.index), label: row.description, promotes: [] })),
    ...promoting.map((row) => ({ item: feature(row.source_id, row.index), label: null, promotes: row.promotes })),
  ];
}

/** What `source/index` or a whole address of this model names. */
function addressed(model: Model, text: string): Choice[] {
  const address = parseAddress(text);
  const [source, index] = address?.model === model.model_id ? [address.source, address.index.toString()] : text.split("/");
  const number = parseIndex(index ?? "");
  if (source === undefined || number === null || !model.sources.some((each) => each.source_id === source)) return [];
  return [{ item: feature(source, number), label: `feature ${number} of ${source}`, promotes: [] }];
}
