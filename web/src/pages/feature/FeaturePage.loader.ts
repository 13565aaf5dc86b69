/**
 * Asks for a feature while the page's script is still on its way.
 */
import type { LoaderFunctionArgs } from "react-router";
import { queryClient } from "@/app/queryClient.ts";
import { parseIndex } from "@/lib/address.ts";
import { featureQuery } from "./featureQuery.ts";

export function loadFeature({ params: { model, source, index } }: LoaderFunctionArgs): null {
  const number = parseIndex(index ?? "");
  if (model !== undefined && source !== undefined && number !== null) {
    void queryClient.prefetchQuery(featureQuery({ model, source, index: number }));
  }
  return null;
}
