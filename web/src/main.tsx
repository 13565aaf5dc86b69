/**
 * Starts the app.
 */
import "./design/base.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import { ServerError } from "./api/error.ts";
import { router } from "./app/routes.tsx";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refused once it refuses again; only a server that does not answer is asked twice.
      retry: (failures, error) => failures < 1 && error instanceof ServerError && error.status === 0,
      refetchOnWindowFocus: false,
      staleTime: 60_000,
    },
  },
});

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
