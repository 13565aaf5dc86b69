/**
 * Long work that goes on in the server: imports, dashboards, indexes. `/v1/jobs`.
 */
import { sendJson } from "./http.ts";

export type JobState = "running" | "done" | "failed" | "cancelled";

export interface Job {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly state: JobState;
  readonly progress: {
    readonly done: number;
    readonly total: number | null;
    readonly unit: string;
    readonly message: string;
  } | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly error: { readonly message: string; readonly hint?: string | null } | null;
}

export type NewJob =
  | { readonly kind: "statement"; readonly sql: string }
  | { readonly kind: "import"; readonly from: string; readonly replace: boolean }
  | { readonly kind: "model"; readonly id: string; readonly path: string }
  | { readonly kind: "source"; readonly model: string; readonly id: string; readonly path: string };

const one = (id: string) => `/v1/jobs/${encodeURIComponent(id)}`;

/** All jobs, newest first. */
export async function listJobs(signal?: AbortSignal): Promise<Job[]> {
  const answer = await sendJson<Job[] | { jobs: Job[] }>("/v1/jobs", { signal });
  return Array.isArray(answer) ? answer : answer.jobs;
}

export function startJob(job: NewJob): Promise<Job> {
  return sendJson<Job>("/v1/jobs", { body: job });
}

export function getJob(id: string, signal?: AbortSignal): Promise<Job> {
  return sendJson<Job>(one(id), { signal });
}

export async function cancelJob(id: string): Promise<void> {
  await sendJson<unknown>(one(id), { method: "DELETE" }).catch((error: unknown) => {
    // A cancelled job may be answered without a body.
    if (error instanceof Error && "status" in error && (error.status === 204 || error.status === 200)) return;
    throw error;
  });
}

export function resumeJob(id: string): Promise<Job> {
  return sendJson<Job>(`${one(id)}/resume`, { method: "POST" });
}
