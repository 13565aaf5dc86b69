/**
 * Starts the server on a fresh database before all tests and stops it after them.
 *
 * A server that has the app embedded is asked directly. One that has not is stood before by Vite's
 * preview of `dist/`, which sends the same security policy.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { preview } from "vite";
import type { TestProject } from "vitest/node";
import { binary, environment, freshDatabase } from "./database.ts";

declare module "vitest" {
  interface ProvidedContext {
    url: string;
    hasMeaning: boolean;
    hasJobs: boolean;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const data = await freshDatabase();
  const { server, url: direct } = await startServer(data);
  const embedded = await fetch(direct, { headers: { accept: "text/html" } });
  const front = embedded.headers.get("content-type")?.includes("text/html") ? null : await startPreview(direct);
  const jobs = await fetch(`${direct}/v1/jobs`);
  project.provide("url", front?.url ?? direct);
  project.provide("hasMeaning", Boolean(process.env.LATENTDB_MINILM));
  project.provide("hasJobs", jobs.ok);
  return async () => {
    await front?.close();
    server.kill("SIGTERM");
    await new Promise((resolve) => server.once("exit", resolve));
    await rm(dirname(data), { recursive: true, force: true });
  };
}

/** The server, once it listens on a port of its own choice. */
async function startServer(data: string): Promise<{ server: ChildProcess; url: string }> {
  const server = spawn(binary(), ["--data", data, "serve", "--pg", "off", "--http", "127.0.0.1:0"], {
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const port = await new Promise<string>((resolve, reject) => {
    const hear = (piece: Buffer) => {
      said += piece.toString();
      const listening = /http=127\.0\.0\.1:(\d+)/.exec(said);
      if (listening?.[1] !== undefined) resolve(listening[1]);
    };
    server.stdout?.on("data", hear);
    server.stderr?.on("data", hear);
    server.once("exit", (code) => reject(new Error(`the server ended with ${code} before it listened:\n${said}`)));
  });
  return { server, url: `http://127.0.0.1:${port}` };
}

async function startPreview(direct: string): Promise<{ url: string; close: () => Promise<void> }> {
  process.env.LATENTDB_URL = direct;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const server = await preview({ root, preview: { port: 0, host: "127.0.0.1" }, logLevel: "warn" });
  const url = server.resolvedUrls?.local[0]?.replace(/\/$/, "");
  if (url === undefined) throw new Error("the preview of the app does not listen");
  return { url, close: () => server.close() };
}
