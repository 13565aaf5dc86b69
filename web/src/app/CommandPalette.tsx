/**
 * Jump anywhere by typing: pages, models, sources, a feature's address, or a search for what was typed.
 */
import { useId, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { type Registry, useRegistry } from "@/api/registry.ts";
import { Dialog } from "@/components/Dialog.tsx";
import { featurePath, formatAddress, modelPath, parseAddress, parseIndex, sourcePath } from "@/lib/address.ts";
import css from "./CommandPalette.module.css";

interface Target {
  readonly name: string;
  readonly kind: string;
  readonly path: string;
}

const PAGES: readonly Target[] = [
  { name: "Home", kind: "page", path: "/" },
  { name: "Search by explanation", kind: "page", path: "/search?mode=label" },
  { name: "Search by text", kind: "page", path: "/search?mode=text" },
  { name: "Features token by token", kind: "page", path: "/search?mode=token" },
  { name: "Steer", kind: "page", path: "/steer" },
  { name: "Lens", kind: "page", path: "/lens" },
  { name: "SQL", kind: "page", path: "/sql" },
  { name: "Evaluations", kind: "page", path: "/evals" },
  { name: "Add data", kind: "page", path: "/data" },
  { name: "API reference", kind: "page", path: "/api-reference" },
];
const MOST = 12;

export function CommandPalette({ onClose }: { readonly onClose: () => void }) {
  const navigate = useNavigate();
  const { data: registry } = useRegistry();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const id = useId();
  const targets = useMemo(() => targetsFor(text, registry), [text, registry]);
  const at = Math.min(chosen, targets.length - 1);
  const go = (target: Target | undefined) => {
    if (target === undefined) return;
    onClose();
    void navigate(target.path);
  };
  return (
    <Dialog title="Jump to" onClose={onClose}>
      <input
        className="input"
        autoFocus
        role="combobox"
        aria-label="Page, model, source or feature"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={`${id}-${at}`}
        placeholder="A page, a source, model/source/index, or words to search for"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") go(targets[at]);
          const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (step === 0) return;
          event.preventDefault();
          setChosen((at + step + targets.length) % targets.length);
        }}
      />
      <ul id={id} role="listbox" aria-label="Where to" className={css.targets}>
        {targets.map((target, position) => (
          <li
            key={target.kind + target.path}
            id={`${id}-${position}`}
            role="option"
            aria-selected={position === at}
            className={position === at ? css.chosen : undefined}
            onPointerMove={() => setChosen(position)}
            onClick={() => go(target)}
          >
            <span className="label-text">{target.name}</span>
            <span className="muted">{target.kind}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function targetsFor(text: string, registry: Registry | undefined): Target[] {
  const wanted = text.trim().toLowerCase();
  const models = registry?.models ?? [];
  const places: Target[] = [
    ...PAGES,
    ...models.map((model) => ({ name: model.model_id, kind: "model", path: modelPath(model.model_id) })),
    ...models.flatMap((model) =>
      model.sources.map((source) => ({
        name: `${model.model_id}/${source.source_id}`,
        kind: "source",
        path: sourcePath(model.model_id, source.source_id),
      })),
    ),
  ];
  if (wanted === "") return places.slice(0, MOST);
  const words = wanted.split(/[\s/]+/);
  const found = places.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  return [...features(text, registry), ...found.slice(0, MOST), searchFor(text.trim())];
}

/** The feature that the text addresses, whole or as `source/index` of some model. */
function features(text: string, registry: Registry | undefined): Target[] {
  const address = parseAddress(text);
  const target = (full: { model: string; source: string; index: number }) => ({
    name: formatAddress(full),
    kind: "feature",
    path: featurePath(full),
  });
  if (address !== null) return [target(address)];
  const [source, index, ...rest] = text.trim().split(/[/\s]+/);
  const number = parseIndex(index ?? "");
  if (source === undefined || number === null || rest.length > 0) return [];
  const sources = registry?.models.flatMap((model) => model.sources) ?? [];
  return sources
    .filter((each) => each.source_id === source)
    .map((each) => target({ model: each.model_id, source, index: number }));
}

function searchFor(text: string): Target {
  return { name: `Search explanations for “${text}”`, kind: "search", path: `/search?${new URLSearchParams({ mode: "label", q: text })}` };
}
