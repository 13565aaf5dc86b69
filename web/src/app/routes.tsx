/**
 * Which page answers which path. A model's, a source's and a feature's path are Neuronpedia's; every
 * page is a chunk of its own, fetched when it is first opened.
 */
import { createBrowserRouter, type RouteObject } from "react-router";
import { loadFeature } from "@/pages/feature/FeaturePage.loader.ts";
import { PageError } from "./PageError.tsx";
import { Shell } from "./Shell.tsx";

/** Changes of the address' parameters ask for nothing: pages read those themselves. */
const shouldRevalidate = ({ currentUrl, nextUrl }: { currentUrl: URL; nextUrl: URL }) => currentUrl.pathname !== nextUrl.pathname;

type Page = () => Promise<{ default: React.ComponentType }>;

const page = (path: string, load: Page): RouteObject => ({
  path,
  lazy: async () => ({ Component: (await load()).default }),
});

export const router = createBrowserRouter([
  {
    Component: Shell,
    ErrorBoundary: PageError,
    HydrateFallback: () => null,
    children: [
      {
        ErrorBoundary: PageError,
        children: [
          page("/", () => import("@/pages/home/HomePage.tsx")),
          page("/search", () => import("@/pages/search/SearchPage.tsx")),
          page("/steer/:run?", () => import("@/pages/steer/SteerPage.tsx")),
          page("/sql", () => import("@/pages/sql/SqlPage.tsx")),
          page("/lens/:share?", () => import("@/pages/lens/LensPage.tsx")),
          page("/evals", () => import("@/pages/evals/EvalsPage.tsx")),
          page("/data", () => import("@/pages/data/DataPage.tsx")),
          page("/quick-list", () => import("@/pages/quick-list/QuickListPage.tsx")),
          page("/api-reference", () => import("@/pages/api-reference/ApiReferencePage.tsx")),
          page("/:model", () => import("@/pages/model/ModelPage.tsx")),
          page("/:model/:source", () => import("@/pages/source/SourcePage.tsx")),
          { ...page("/:model/:source/:index", () => import("@/pages/feature/FeaturePage.tsx")), loader: loadFeature, shouldRevalidate },
          page("*", () => import("./NotFound.tsx")),
        ],
      },
    ],
  },
]);
