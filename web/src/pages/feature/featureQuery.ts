/**
 * The request for a feature's record, under one key wherever it is asked for.
 */
import { queryOptions } from "@tanstack/react-query";
import { getFeature } from "@/api/feature.ts";
import type { FeatureAddress } from "@/lib/address.ts";

export function featureQuery(address: FeatureAddress) {
  return queryOptions({
    queryKey: ["feature", address.model, address.source, address.index],
    queryFn: ({ signal }) => getFeature(address, signal),
    staleTime: 5 * 60_000,
  });
}
