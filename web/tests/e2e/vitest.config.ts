// The tests in a browser: one server, one browser, one file after the other.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: { alias: { "@": here("../../src") } },
  test: {
    root: here("."),
    include: ["*.e2e.ts"],
    globalSetup: [here("./setup.ts")],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    environment: "node",
  },
});
