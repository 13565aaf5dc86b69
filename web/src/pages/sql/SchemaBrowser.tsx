/**
 * Tables with their columns, and functions with their arguments. A click puts a name into the statement;
 * "look" asks for the first rows of a table.
 */
import { Database } from "lucide-react";
import { useState } from "react";
import { ErrorNote, Skeleton } from "@/components/Status.tsx";
import { inert } from "@/lib/inert.ts";
import css from "./SchemaBrowser.module.css";
import { useSchema } from "./useSchema.ts";

interface Props {
  readonly onInsert: (name: string) => void;
  readonly onRun: (sql: string) => void;
}

export function SchemaBrowser({ onInsert, onRun }: Props) {
  const { data, error } = useSchema();
  const [wanted, setWanted] = useState("");
  const fits = (name: string) => name.toLowerCase().includes(wanted.toLowerCase());
  return (
    <details className={css.browser} open={window.innerWidth > 900}>
      <summary>
        <Database size={14} aria-hidden /> Schema
      </summary>
      <input className="input" type="search" aria-label="Filter the schema" placeholder="Filter" value={wanted} onChange={(event) => setWanted(event.target.value)} />
      {error && <ErrorNote error={error} />}
      {data === undefined && !error && <Skeleton lines={12} />}
      <ul className={css.relations}>
        {data?.relations
          .filter(({ name, columns }) => fits(name) || (wanted !== "" && columns.some((column) => fits(column.name))))
          .map((relation) => (
            <li key={relation.name}>
              <details>
                <summary title={relation.about ?? undefined}>
                  <span className="label-text">{inert(relation.name, 60)}</span>
                  {relation.isView && <span className="muted"> view</span>}
                </summary>
                {relation.about && <p className={css.about}>{inert(relation.about, 300)}</p>}
                <button type="button" className="button small" onClick={() => onRun(`SELECT * FROM ${quoted(relation.name)} LIMIT 100`)}>
                  First rows
                </button>
                <ul className={css.columns}>
                  {relation.columns.map((column) => (
                    <li key={column.name}>
                      <button type="button" onClick={() => onInsert(quoted(column.name))} title={column.about ?? undefined}>
                        <span className="label-text">{inert(column.name, 60)}</span>
                        <span className="muted">{shortType(column.type)}</span>
                      </button>
                    </li>
                  ))}
                </ul>
              </details>
            </li>
          ))}
      </ul>
      <details className={css.functions} open={wanted !== ""}>
        <summary>Functions and procedures</summary>
        <ul className={css.columns}>
          {data?.functions
            .filter(({ name }) => fits(name))
            .map((each) => (
              <li key={each.name + each.arguments}>
                <button type="button" onClick={() => onInsert(`${each.kind === "p" ? "CALL " : ""}${each.name}(`)} title={`${each.name}(${each.arguments})`}>
                  <span>{each.name}</span>
                  <span className="muted">{each.kind === "p" ? "call" : ""}</span>
                </button>
              </li>
            ))}
        </ul>
      </details>
    </details>
  );
}

/** A name as SQL writes it: in quotes unless it is a plain one. */
function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function shortType(type: string): string {
  return type.replace("double precision", "double").replace("timestamp with time zone", "timestamptz");
}
