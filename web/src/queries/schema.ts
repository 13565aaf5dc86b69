/**
 * Tables, columns and functions, for the schema browser and for completion.
 */
import { query } from "@/api/sql.ts";

export interface ColumnRow {
  relation: string;
  kind: string;
  column_name: string;
  type: string;
  about: string | null;
}

export const COLUMNS = query<ColumnRow>(`
  SELECT c.relname AS relation, c.relkind AS kind, a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type,
         col_description(c.oid, a.attnum) AS about
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'public' AND a.attnum > 0 AND c.relkind IN ('r', 'v') ORDER BY c.relname, a.attnum`);

export interface RelationRow {
  relation: string;
  about: string | null;
}

export const RELATIONS = query<RelationRow>(`
  SELECT c.relname AS relation, obj_description(c.oid) AS about
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v')`);

export interface FunctionRow {
  name: string;
  arguments: string;
  kind: string;
}

/** Functions whose arguments are known: those of this database, not of Postgres' catalogue. */
export const FUNCTIONS = query<FunctionRow>(`
  SELECT DISTINCT proname AS name, pg_get_function_arguments(oid) AS arguments, prokind AS kind FROM pg_proc
  WHERE pg_get_function_arguments(oid) IS NOT NULL ORDER BY name`);
