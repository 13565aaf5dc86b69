/**
 * The tables, columns and functions of the database.
 */
import { useQuery } from "@tanstack/react-query";
import { select } from "@/api/sql.ts";
import { COLUMNS, type FunctionRow, FUNCTIONS, RELATIONS } from "@/queries/schema.ts";

export interface Relation {
  readonly name: string;
  readonly isView: boolean;
  readonly about: string | null;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly about: string | null }[];
}

export interface Schema {
  readonly relations: readonly Relation[];
  readonly functions: readonly FunctionRow[];
}

export function useSchema() {
  return useQuery({ queryKey: ["schema"], queryFn: ({ signal }) => readSchema(signal), staleTime: 30_000 });
}

async function readSchema(signal: AbortSignal): Promise<Schema> {
  const [columns, abouts, functions] = await Promise.all([select(COLUMNS, [], signal), select(RELATIONS, [], signal), select(FUNCTIONS, [], signal)]);
  const aboutOf = new Map(abouts.map((row) => [row.relation, row.about]));
  const relations = new Map<string, { name: string; isView: boolean; about: string | null; columns: Relation["columns"][number][] }>();
  for (const row of columns) {
    const known = relations.get(row.relation) ?? { name: row.relation, isView: row.kind === "v", about: aboutOf.get(row.relation) ?? null, columns: [] };
    known.columns.push({ name: row.column_name, type: row.type, about: row.about });
    relations.set(row.relation, known);
  }
  return { relations: [...relations.values()], functions };
}
