/**
 * The fields of something to add, and the button that starts it.
 */
import { useId, useState } from "react";
import type { NewJob } from "@/api/jobs.ts";
import { findModel, type Registry } from "@/api/registry.ts";
import { inert } from "@/lib/inert.ts";
import css from "./DataPage.module.css";
import type { Field, Form } from "./jobForms.ts";

interface Props {
  readonly form: Form;
  readonly registry: Registry | undefined;
  readonly isStarting: boolean;
  readonly onStart: (job: NewJob) => void;
}

export function JobForm({ form, registry, isStarting, onStart }: Props) {
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() => Object.fromEntries(form.fields.map(({ name, initial }) => [name, initial ?? ""])));
  const set = (name: string, value: string) => setValues({ ...values, [name]: value });
  const isWhole = form.fields.every((field) => field.isOptional || field.kind === "check" || (values[field.name] ?? "").trim() !== "");
  return (
    <form
      className={`panel ${css.form}`}
      onSubmit={(event) => {
        event.preventDefault();
        onStart(form.job(values));
      }}
    >
      <p>{form.about}</p>
      <div className={css.fields}>
        {form.fields.map((field) => (
          <FieldInput key={field.name} field={field} value={values[field.name] ?? ""} model={values.model ?? ""} registry={registry} onChange={(value) => set(field.name, value)} />
        ))}
      </div>
      <div>
        <button type="submit" className="button primary" disabled={!isWhole || isStarting}>
          {form.action}
        </button>
      </div>
    </form>
  );
}

interface InputProps {
  readonly field: Field;
  readonly value: string;
  readonly model: string;
  readonly registry: Registry | undefined;
  readonly onChange: (value: string) => void;
}

function FieldInput({ field, value, model, registry, onChange }: InputProps) {
  const id = useId();
  if (field.kind === "check") {
    return (
      <label className={css.check}>
        <input type="checkbox" checked={value === "1"} onChange={(event) => onChange(event.target.checked ? "1" : "")} /> {field.label}
      </label>
    );
  }
  const options = field.kind === "model" ? (registry?.models ?? []).map((each) => each.model_id) : field.kind === "source" ? sourcesOf(registry, model) : [];
  const shared = { value, placeholder: field.hint };
  return (
    <div className={field.kind === "sql" ? css.wide : undefined}>
      <label className="field">
        <span>
          {field.label}
          {field.isOptional && <span className="muted"> (optional)</span>}
        </span>
        {field.kind === "sql" ? (
          <textarea className="textarea mono" rows={2} {...shared} onChange={(event) => onChange(event.target.value)} />
        ) : (
          <input className="input" inputMode={field.kind === "number" ? "numeric" : "text"} list={options.length > 0 ? id : undefined} {...shared} onChange={(event) => onChange(event.target.value)} />
        )}
      </label>
      {options.length > 0 && (
        <datalist id={id}>
          {options.map((option) => (
            <option key={option} value={option}>
              {inert(option, 80)}
            </option>
          ))}
        </datalist>
      )}
    </div>
  );
}

/** The source sets of a model, then its sources. */
function sourcesOf(registry: Registry | undefined, model: string): string[] {
  const known = findModel(registry, model);
  return known === undefined ? [] : [...known.sets.map((set) => set.set_id), ...known.sources.map((source) => source.source_id)];
}
