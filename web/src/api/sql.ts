/**
 * Statements of the app's own queries: text with `$1`, `$2`, …, values beside it, rows as objects.
 *
 * Values never become part of a statement's text. What a row holds is declared by the query that asks.
 */
import { sendJson } from "./http.ts";

export interface Column {
  readonly name: string;
  readonly type: string;
}

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly unknown[])[];
  readonly row_count?: number;
}

export type Parameter = string | number | boolean | null | readonly string[] | readonly number[];

/** A statement of the app, and by its type what its rows hold. */
export interface Query<Row> {
  readonly text: string;
  /** Only there for the type. */
  readonly row?: Row;
}

export function query<Row>(text: string): Query<Row> {
  return { text };
}

export async function select<Row>(
  statement: Query<Row>,
  parameters: readonly Parameter[] = [],
  signal?: AbortSignal,
): Promise<Row[]> {
  const body = { sql: statement.text, parameters };
  return objects<Row>(await sendJson<Table>("/v1/sql", { body, signal }));
}

function objects<Row>({ columns, rows }: Table): Row[] {
  return rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])) as Row);
}
