/**
 * What features promote, for those that nobody has explained: by index.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { select } from "@/api/sql.ts";
import { SUMMARIES } from "@/queries/features.ts";

export function usePromotes(model: string, source: string, indices: readonly number[]): ReadonlyMap<number, readonly string[]> {
  const wanted = indices.toSorted((a, b) => a - b);
  const { data } = useQuery({
    queryKey: ["promotes-of", model, source, wanted],
    queryFn: ({ signal }) => select(SUMMARIES, [model, source, wanted], signal),
    enabled: wanted.length > 0,
    placeholderData: keepPreviousData,
  });
  return new Map((data ?? []).map((row) => [row.index, row.promotes ?? []]));
}
