/// <reference types="vitest/config" />
// Builds the app into dist/, whose files the server embeds. In development and in tests the server's
// routes are passed on to LATENTDB_URL.
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.LATENTDB_URL ?? "http://127.0.0.1:3100";
const routes = ["/api/", "/v1/", "/healthz", "/metrics", "/openapi.json"];
const proxy = Object.fromEntries(routes.map((route) => [route, { target: server, changeOrigin: false }]));

/** The policy that the server sends; preview sends it too, so that tests run under it. */
const policy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
].join("; ");

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { proxy },
  preview: { proxy, headers: { "Content-Security-Policy": policy } },
  build: { target: "es2022", assetsInlineLimit: 0, chunkSizeWarningLimit: 400 },
  test: { include: ["tests/unit/**/*.test.ts"], environment: "node" },
});
