/**
 * Takes the rows of a table along as CSV.
 */
import { Download } from "lucide-react";
import { toCsv } from "@/lib/csv.ts";
import { saveFile } from "@/lib/saveFile.ts";

export function CsvButton({ name, rows }: { readonly name: string; readonly rows: readonly object[] }) {
  const save = () => {
    const columns = Object.keys(rows[0] ?? {});
    const values = rows.map((row) => columns.map((column) => (row as Record<string, unknown>)[column]));
    saveFile(`${name}.csv`, new Blob([toCsv(columns, values)], { type: "text/csv" }));
  };
  return (
    <button type="button" className="button quiet small" onClick={save} disabled={rows.length === 0}>
      <Download size={13} aria-hidden /> CSV
    </button>
  );
}
