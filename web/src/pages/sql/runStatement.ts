/**
 * Runs a statement of the reader's own: rows as they come, up to a bound, and a way to stop.
 *
 * A statement from a link runs without the reader's key, so that a link can read and nothing else.
 */
import { ServerError } from "@/api/error.ts";
import { send } from "@/api/http.ts";
import type { Column } from "@/api/sql.ts";
import { RowStream, StatementError } from "@/lib/rowStream.ts";

/** Rows that are kept of an answer. */
export const MOST_ROWS = 100_000;

export interface Progress {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly unknown[])[];
  /** What a statement did that gives no rows. */
  readonly outcome: Record<string, unknown> | null;
  readonly isCut: boolean;
}

interface Options {
  readonly signal: AbortSignal;
  readonly withoutKey: boolean;
  readonly onProgress: (progress: Progress) => void;
}

export async function runStatement(sql: string, { signal, withoutKey, onProgress }: Options): Promise<Progress> {
  const answer = await send("/v1/sql", { body: { sql }, signal, withoutKey });
  const stream = new RowStream();
  const rows: unknown[][] = [];
  const progress = (isCut = false): Progress => ({ columns: stream.columns ?? [], rows, outcome: stream.outcome, isCut });
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return progress();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    for (const row of stream.push(chunk.value)) rows.push(row);
    if (rows.length >= MOST_ROWS) {
      await reader.cancel();
      rows.length = MOST_ROWS;
      return progress(true);
    }
    onProgress(progress());
  }
  try {
    stream.end();
  } catch (error) {
    throw error instanceof StatementError ? new ServerError(200, error.body) : error;
  }
  return progress();
}

/** Whether a statement only reads, by its first word: what a link may run when it is opened. */
export function isQuery(sql: string): boolean {
  return /^(select|with|values|table|show|explain)\b/i.test(withoutComments(sql));
}

/** Whether a statement can be run once more and changes nothing; perhaps not, where one cannot tell by its words. */
export function isRepeatable(sql: string): boolean {
  const writes = /^with\b[\s\S]*\b(insert|update|delete|merge)\b/i;
  return isQuery(sql) && !/^explain\b/i.test(withoutComments(sql)) && !writes.test(withoutComments(sql));
}

/** Whether a statement takes so long that the server runs it as a job, with progress. */
export function isLongWork(sql: string): boolean {
  return /^(call\b|create\s+index\b)/i.test(withoutComments(sql));
}

function withoutComments(sql: string): string {
  return sql.replace(/^(\s+|--[^\n]*(\n|$)|\/\*[\s\S]*?\*\/|\()+/, "");
}
