/**
 * The way down to a page: model, source, feature.
 */
import { Fragment } from "react";
import { Link } from "react-router";
import { modelPath, sourcePath } from "@/lib/address.ts";
import { inert } from "@/lib/inert.ts";
import css from "./Breadcrumbs.module.css";

interface Props {
  readonly model: string;
  readonly source?: string;
  readonly index?: string;
}

export function Breadcrumbs({ model, source, index }: Props) {
  const steps: Array<readonly [name: string, path: string | null]> = [["Models", "/"]];
  steps.push([model, source === undefined ? null : modelPath(model)]);
  if (source !== undefined) steps.push([source, index === undefined ? null : sourcePath(model, source)]);
  if (index !== undefined) steps.push([index, null]);
  return (
    <nav aria-label="Breadcrumbs" className={css.crumbs}>
      {steps.map(([name, path], at) => (
        <Fragment key={at}>
          {at > 0 && <span aria-hidden>/</span>}
          {path === null ? (
            <span aria-current="page" className="label-text">
              {inert(name, 80)}
            </span>
          ) : (
            <Link to={path} className="label-text">
              {inert(name, 80)}
            </Link>
          )}
        </Fragment>
      ))}
    </nav>
  );
}
