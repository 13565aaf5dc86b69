/**
 * The sources of a set in a table.
 */
import { Link } from "react-router";
import type { SourceSet } from "@/api/registry.ts";
import { sourcePath } from "@/lib/address.ts";
import { formatCount, formatDensity } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import css from "./ModelPage.module.css";

export function SourceTable({ set }: { readonly set: SourceSet }) {
  return (
    <section className={css.set}>
      <h2 className="label-text">
        <Link to={sourcePath(set.model_id, set.set_id)}>{inert(set.set_id, 80)}</Link>
        <span className="muted"> {inert(set.kind, 40)}</span>
      </h2>
      <div className={css.scroll} tabIndex={0} role="region" aria-label={`Sources of ${set.set_id}`}>
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">Reads</th>
              <th scope="col">Architecture</th>
              <th scope="col" className="number">
                Features
              </th>
              <th scope="col" className="number">
                Dead
              </th>
              <th scope="col" className="number">
                Explained
              </th>
              <th scope="col" className="number">
                Mean density
              </th>
            </tr>
          </thead>
          <tbody>
            {set.sources.map((source) => (
              <tr key={source.source_id}>
                <td>
                  <Link className="link" to={sourcePath(source.model_id, source.source_id)}>
                    {inert(source.source_id, 80)}
                  </Link>
                </td>
                <td className="mono label-text">{inert(source.hook_point, 60)}</td>
                <td className="label-text">{inert(source.architecture, 40)}</td>
                <td className="number">{formatCount(source.features)}</td>
                <td className="number">{formatCount(source.dead)}</td>
                <td className="number">{formatCount(source.explained)}</td>
                <td className="number">{formatDensity(source.meanDensity)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
