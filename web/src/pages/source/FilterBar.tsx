/**
 * The filters over a source's table: words of the label, density, largest activation, score, dead,
 * explained.
 */
import { ListFilter, X } from "lucide-react";
import { useState } from "react";
import { useUrlState } from "@/app/urlState.ts";
import { TypedField } from "@/components/TypedField.tsx";
import css from "./FilterBar.module.css";

export function FilterBar({ children }: { readonly children: React.ReactNode }) {
  const [parameters, change] = useUrlState();
  const active = ["dmin", "dmax", "amin", "smin", "dead", "labelled"].filter((name) => parameters.has(name));
  const [isOpen, setOpen] = useState(active.length > 0);
  return (
    <div className={css.bar} role="search">
      <div className={css.line}>
        <TypedField name="q" label="Words in the label, or a promoted token" placeholder="Filter by label or promoted token" searchClass={css.search} />
        <button type="button" className="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          <ListFilter size={14} aria-hidden /> Filters{active.length > 0 && ` (${active.length})`}
        </button>
        {(active.length > 0 || parameters.has("q")) && (
          <button
            type="button"
            className="button quiet"
            onClick={() => change({ q: null, dmin: null, dmax: null, amin: null, smin: null, dead: null, labelled: null })}
          >
            <X size={14} aria-hidden /> Clear
          </button>
        )}
        <div className={css.rest}>{children}</div>
      </div>
      {isOpen && (
        <div className={css.filters}>
          <TypedField name="dmin" label="Density from, %" isNumber />
          <TypedField name="dmax" label="Density to, %" isNumber />
          <TypedField name="amin" label="Largest activation from" isNumber />
          <TypedField name="smin" label="Score from" isNumber />
          <Choice name="dead" label="Dead" yes="Dead only" no="Alive only" />
          <Choice name="labelled" label="Explained" yes="Explained only" no="Unexplained only" />
        </div>
      )}
    </div>
  );
}

function Choice({ name, label, yes, no }: { readonly name: string; readonly label: string; readonly yes: string; readonly no: string }) {
  const [parameters, change] = useUrlState();
  return (
    <label className="field">
      <span>{label}</span>
      <select className="select" value={parameters.get(name) ?? ""} onChange={(event) => change({ [name]: event.target.value })}>
        <option value="">any</option>
        <option value="1">{yes}</option>
        <option value="0">{no}</option>
      </select>
    </label>
  );
}
