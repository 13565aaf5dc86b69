/**
 * The page of a source set: what it is, and its sources.
 */
import type { SourceSet } from "@/api/registry.ts";
import { Breadcrumbs } from "@/components/Breadcrumbs.tsx";
import { inert } from "@/lib/inert.ts";
import css from "./ModelPage.module.css";
import { SourceTable } from "./SourceTable.tsx";

export function SetPage({ set }: { readonly set: SourceSet }) {
  return (
    <div className="page">
      <Breadcrumbs model={set.model_id} source={set.set_id} />
      <header className={css.header}>
        <h1 className="label-text">{inert(set.set_id, 120)}</h1>
        {set.description && <p className="label-text">{inert(set.description, 600)}</p>}
        <p className="muted label-text">{inert([set.kind, set.release_id, set.creator_name].filter(Boolean).join(" · "), 300)}</p>
        <ul className="prose">
          {(set.urls ?? []).filter(isWeb).map((url) => (
            <li key={url}>
              <a href={url} target="_blank" rel="noopener noreferrer" className="label-text">
                {inert(url, 200)}
              </a>
            </li>
          ))}
        </ul>
      </header>
      <SourceTable set={set} />
    </div>
  );
}

/** Links come from outside: those that would run a script are no links. */
function isWeb(url: string): boolean {
  return /^https?:\/\//i.test(url);
}
