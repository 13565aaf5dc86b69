/**
 * Takes an answer along as CSV or as Parquet, made in the browser from the rows at hand.
 */
import { Download } from "lucide-react";
import { useState } from "react";
import { toCsv } from "@/lib/csv.ts";
import { saveFile } from "@/lib/saveFile.ts";
import type { Progress } from "./runStatement.ts";

export function Export({ progress }: { readonly progress: Progress }) {
  const { columns, rows } = progress;
  const [failure, setFailure] = useState<string | null>(null);
  if (columns.length === 0) return null;
  const saveCsv = () =>
    saveFile("latentdb.csv", new Blob([toCsv(columns.map(({ name }) => name), rows)], { type: "text/csv" }));
  const saveParquet = () => {
    setFailure(null);
    import("./parquet.ts")
      .then(({ toParquet }) => saveFile("latentdb.parquet", new Blob([toParquet(progress)], { type: "application/vnd.apache.parquet" })))
      .catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error)));
  };
  return (
    <>
      {failure !== null && <span role="alert">Parquet: {failure}</span>}
      <button type="button" className="button quiet small" onClick={saveCsv}>
        <Download size={13} aria-hidden /> CSV
      </button>
      <button type="button" className="button quiet small" onClick={saveParquet}>
        <Download size={13} aria-hidden /> Parquet
      </button>
    </>
  );
}
