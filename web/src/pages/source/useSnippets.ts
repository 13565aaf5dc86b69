/**
 * The strongest example of each feature whose row has come to rest on screen, by index.
 *
 * Rows are asked for in pages, so that scrolling back costs nothing and scrolling past asks for nothing.
 */
import { useQueries } from "@tanstack/react-query";
import { useCallback, useRef } from "react";
import type { Source } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { type FeatureRow, SNIPPETS, type SnippetRow } from "@/queries/features.ts";

const PAGE = 32;

export function useSnippets(source: Source, rows: readonly FeatureRow[], first: number, last: number, isScrolling: boolean): Map<number, SnippetRow> {
  const pages: number[] = [];
  for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) pages.push(page);
  const known = useRef(new Map<number, SnippetRow>());
  const combine = useCallback((results: readonly { data: SnippetRow[] | undefined }[]) => {
    for (const { data } of results) for (const row of data ?? []) known.current.set(row.index, row);
    return known.current.size;
  }, []);
  // The number of rows known is what tells that new ones came.
  useQueries({
    queries: pages.map((page) => {
      const indices = rows.slice(page * PAGE, (page + 1) * PAGE).map((row) => row.index);
      return {
        queryKey: ["snippets", source.model_id, source.source_id, indices],
        queryFn: ({ signal }: { signal: AbortSignal }) => select(SNIPPETS, [source.model_id, source.source_id, indices], signal),
        enabled: !isScrolling && indices.some((index) => !known.current.has(index)),
        staleTime: Number.POSITIVE_INFINITY,
      };
    }),
    combine,
  });
  return known.current;
}
