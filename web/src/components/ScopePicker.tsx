/**
 * Which model, source set and sources something is about, as it stands in the address (`model`, `set`,
 * `source`). Models that cannot be run are shown and cannot be chosen where a text has to be run.
 */
import { isLive, isSourceLive, type Model, type Registry } from "@/api/registry.ts";
import { inert } from "@/lib/inert.ts";
import css from "./ScopePicker.module.css";

interface ModelProps {
  readonly registry: Registry;
  readonly value: string;
  readonly onChange: (model: string) => void;
  /** Only models that can be run. */
  readonly mustRun?: boolean;
  /** The name of "no model in particular". */
  readonly any?: string;
}

export function ModelSelect({ registry, value, onChange, mustRun = false, any }: ModelProps) {
  return (
    <label className="field">
      <span>Model</span>
      <select className="select" value={value} onChange={(event) => onChange(event.target.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {any === undefined && value === "" && <option value="">Choose a model</option>}
        {registry.models.map((model) => (
          <option key={model.model_id} value={model.model_id} disabled={mustRun && !isLive(model)}>
            {inert(model.model_id, 60)}
            {mustRun && !isLive(model) ? " (no weights here)" : ""}
          </option>
        ))}
      </select>
    </label>
  );
}

interface SourceProps {
  readonly model: Model;
  readonly value: string;
  readonly onChange: (source: string) => void;
  readonly mustRun?: boolean;
}

export function SourceSelect({ model, value, onChange, mustRun = false }: SourceProps) {
  return (
    <label className="field">
      <span>Source</span>
      <select className="select" value={value} onChange={(event) => onChange(event.target.value)}>
        {value === "" && <option value="">Choose a source</option>}
        {model.sets.map((set) => (
          <optgroup key={set.set_id} label={inert(set.set_id, 60)}>
            {set.sources.map((source) => (
              <option key={source.source_id} value={source.source_id} disabled={mustRun && !isSourceLive(source)}>
                {inert(source.source_id, 60)}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

interface SetProps {
  readonly model: Model;
  readonly value: string;
  readonly onChange: (set: string) => void;
  readonly any?: string;
}

export function SetSelect({ model, value, onChange, any }: SetProps) {
  return (
    <label className="field">
      <span>Source set</span>
      <select className="select" value={value} onChange={(event) => onChange(event.target.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {model.sets.map((set) => (
          <option key={set.set_id} value={set.set_id}>
            {inert(set.set_id, 60)}
          </option>
        ))}
      </select>
    </label>
  );
}

interface SourcesProps {
  readonly model: Model;
  readonly set: string;
  readonly value: readonly string[];
  readonly onChange: (sources: readonly string[]) => void;
}

/** Some sources of a set; none chosen is all. */
export function SourceChips({ model, set, value, onChange }: SourcesProps) {
  const sources = model.sets.find((each) => each.set_id === set)?.sources ?? [];
  if (sources.length < 2) return null;
  return (
    <fieldset className={css.chips}>
      <legend>Sources</legend>
      {sources.map(({ source_id: id }) => {
        const isChosen = value.includes(id);
        return (
          <label key={id} className={isChosen ? css.chosen : undefined}>
            <input
              type="checkbox"
              className="visually-hidden"
              checked={isChosen}
              onChange={() => onChange(isChosen ? value.filter((each) => each !== id) : [...value, id])}
            />
            {inert(id, 40)}
          </label>
        );
      })}
      <span className="muted">{value.length === 0 ? "all" : `${value.length} of ${sources.length}`}</span>
    </fieldset>
  );
}

/** The model that a page starts with: the one asked for, or the first that can be run. */
export function startModel(registry: Registry | undefined, asked: string | null): Model | undefined {
  if (asked !== null && asked !== "") return registry?.models.find((model) => model.model_id === asked);
  return registry?.models.find((model) => isLive(model) && model.sources.length > 0) ?? registry?.models.find(isLive);
}
