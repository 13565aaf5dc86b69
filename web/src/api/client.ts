/**
 * The server's documented routes, typed by its own description of them (`schema.d.ts`, which `npm run
 * api` makes of `openapi.json`). Failures are `ServerError`s, as everywhere.
 */
import createClient from "openapi-fetch";
import { ServerError, unreachable } from "./error.ts";
import { isAbort } from "./http.ts";
import { currentKey } from "./key.ts";
import type { components, paths } from "./schema.d.ts";

export type Schemas = components["schemas"];

export const client = createClient<paths>({ fetch: sent });

async function sent(request: Request): Promise<Response> {
  const key = currentKey();
  if (key !== "") request.headers.set("x-api-key", key);
  const answer = await fetch(request).catch((error: unknown) => {
    if (isAbort(error)) throw error;
    throw unreachable();
  });
  if (!answer.ok) throw new ServerError(answer.status, await answer.json().catch(() => null));
  return answer;
}

/** What a call answered; its failures were thrown before. */
export async function answered<Answer>(call: Promise<{ data?: Answer | undefined }>): Promise<NonNullable<Answer>> {
  const { data } = await call;
  if (data === undefined || data === null) throw new ServerError(200, { message: "the server answered nothing" });
  return data;
}
