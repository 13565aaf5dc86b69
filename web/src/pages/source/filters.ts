/**
 * Which features of a source are shown, and in what order, as it stands in the page's address.
 */
import { numberOf } from "@/app/urlState.ts";
import type { Parameter } from "@/api/sql.ts";
import { FEATURE_SORTS, type FeatureSort } from "@/queries/features.ts";

export interface Filters {
  readonly sort: FeatureSort;
  readonly descending: boolean;
  readonly text: string;
  readonly leastDensity: number | null;
  readonly mostDensity: number | null;
  readonly leastMaximum: number | null;
  readonly leastScore: number | null;
  readonly dead: boolean | null;
  readonly labelled: boolean | null;
}

export function readFilters(parameters: URLSearchParams): Filters {
  const sort = parameters.get("sort") ?? "index";
  const percent = (name: string) => {
    const value = numberOf(parameters, name);
    return value === null ? null : value / 100;
  };
  return {
    sort: sort in FEATURE_SORTS ? (sort as FeatureSort) : "index",
    descending: parameters.get("order") === "desc",
    text: parameters.get("q") ?? "",
    leastDensity: percent("dmin"),
    mostDensity: percent("dmax"),
    leastMaximum: numberOf(parameters, "amin"),
    leastScore: percent("smin"),
    dead: yesOrNo(parameters.get("dead")),
    labelled: yesOrNo(parameters.get("labelled")),
  };
}

/** The values of the statement's parameters, after the model and the source. */
export function filterParameters(filters: Filters): Parameter[] {
  return [
    filters.text === "" ? null : filters.text,
    filters.leastDensity,
    filters.mostDensity,
    filters.leastMaximum,
    filters.leastScore,
    filters.dead,
    filters.labelled,
  ];
}

export function isFiltered(filters: Filters): boolean {
  return filterParameters(filters).some((value) => value !== null);
}

function yesOrNo(text: string | null): boolean | null {
  return text === "1" ? true : text === "0" ? false : null;
}
