/**
 * The largest activation of each feature that a page steers by, and what it is called. A vector has no
 * activations: its strength counts as it is.
 */
import { useQuery } from "@tanstack/react-query";
import { select } from "@/api/sql.ts";
import { SUMMARIES, type SummaryRow } from "@/queries/features.ts";
import { type SteerItem, VECTORS } from "./steerState.ts";

export interface Maxima {
  readonly isReady: boolean;
  readonly of: (item: SteerItem) => number;
  readonly summary: (item: SteerItem) => SummaryRow | undefined;
}

/** What stands for the largest activation of a feature that never fired. */
const UNKNOWN = 10;

export function useMaxima(model: string, items: readonly SteerItem[]): Maxima {
  const wanted = [...new Set(items.filter((item) => item.source !== VECTORS).map((item) => `${item.source}/${item.index}`))].sort();
  const { data } = useQuery({
    queryKey: ["maxima", model, wanted],
    queryFn: ({ signal }) => summaries(model, wanted, signal),
    enabled: wanted.length > 0,
    placeholderData: (before) => before,
  });
  const summary = (item: SteerItem) => data?.get(`${item.source}/${item.index}`);
  return {
    isReady: wanted.every((key) => data?.has(key)),
    summary,
    of: (item) => (item.source === VECTORS ? 1 : summary(item)?.max_activation || UNKNOWN),
  };
}

async function summaries(model: string, wanted: readonly string[], signal: AbortSignal): Promise<Map<string, SummaryRow>> {
  const bySource = new Map<string, number[]>();
  for (const key of wanted) {
    const at = key.lastIndexOf("/");
    const source = key.slice(0, at);
    const index = Number(key.slice(at + 1));
    if (Number.isInteger(index)) bySource.set(source, [...(bySource.get(source) ?? []), index]);
  }
  const rows = await Promise.all([...bySource].map(([source, indices]) => select(SUMMARIES, [model, source, indices], signal)));
  return new Map(rows.flat().map((row) => [`${row.source_id}/${row.index}`, row]));
}
