/**
 * An answer as a Parquet file. Lists and objects become JSON text: the columns of an answer do not say
 * how deep they go.
 */
import { parquetWriteBuffer } from "hyparquet-writer";
import type { Progress } from "./runStatement.ts";

type ColumnType = "BOOLEAN" | "INT32" | "DOUBLE" | "STRING";

const TYPES: Readonly<Record<string, ColumnType>> = {
  boolean: "BOOLEAN",
  smallint: "INT32",
  integer: "INT32",
  bigint: "DOUBLE",
  real: "DOUBLE",
  "double precision": "DOUBLE",
  numeric: "DOUBLE",
};

export function toParquet({ columns, rows }: Progress): ArrayBuffer {
  return parquetWriteBuffer({
    columnData: columns.map(({ name, type }, at) => {
      const kind = TYPES[type] ?? "STRING";
      return { name, type: kind, nullable: true, data: rows.map((row) => written(row[at], kind)) };
    }),
  });
}

function written(value: unknown, kind: ColumnType): unknown {
  if (value === null || value === undefined) return null;
  if (kind !== "STRING" || typeof value === "string") return value;
  return JSON.stringify(value);
}
