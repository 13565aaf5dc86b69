/**
 * Requests to the server, with the caller's key if there is one, and with failures as `ServerError`.
 */
import { ServerError, unreachable } from "./error.ts";
import { currentKey } from "./key.ts";

export interface RequestOptions {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly body?: unknown;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
  /** Ask as anybody may: for what a link brings. */
  readonly withoutKey?: boolean;
}

/** Sends a request and gives the answer, whose body is yet to be read. */
export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const headers = new Headers({ accept: options.accept ?? "application/json" });
  const key = currentKey();
  if (key !== "" && !options.withoutKey) headers.set("x-api-key", key);
  if (options.body !== undefined) headers.set("content-type", "application/json");
  const answer = await fetch(path, {
    method: options.method ?? (options.body === undefined ? "GET" : "POST"),
    headers,
    body: options.body === undefined ? null : JSON.stringify(options.body),
    signal: options.signal ?? null,
  }).catch((error: unknown) => {
    if (isAbort(error)) throw error;
    throw unreachable();
  });
  if (!answer.ok) throw new ServerError(answer.status, await readJson(answer).catch(() => null));
  return answer;
}

/** Sends a request and reads the JSON that comes back. */
export async function sendJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const answer = await send(path, options);
  return (await readJson(answer)) as T;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

async function readJson(answer: Response): Promise<unknown> {
  const type = answer.headers.get("content-type") ?? "";
  if (!type.includes("json")) throw new ServerError(answer.status, { message: `the server answered ${type || "nothing"} where JSON was asked for` });
  return answer.json().catch((error: unknown) => {
    if (isAbort(error)) throw error;
    // A statement that fails midway is answered by a document that does not close.
    throw new ServerError(answer.status, { message: "the answer broke off: the statement failed while its rows were sent" });
  });
}
