/**
 * Answers of the server, kept while they are fresh.
 */
import { QueryClient } from "@tanstack/react-query";
import { ServerError } from "@/api/error.ts";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refused once it refuses again; only a server that does not answer is asked twice.
      retry: (failures, error) => failures < 1 && error instanceof ServerError && error.status === 0,
      refetchOnWindowFocus: false,
      staleTime: 60_000,
    },
  },
});
