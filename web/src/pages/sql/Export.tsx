/**
 * Takes an answer along: as CSV, made of the rows at hand; or as Parquet, for which the server runs the
 * query once more and gives all of its rows, in their own types.
 */
import { Download, Square } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { isAbort, send } from "@/api/http.ts";
import { toCsv } from "@/lib/csv.ts";
import { formatBytes } from "@/lib/format.ts";
import { saveFile } from "@/lib/saveFile.ts";
import { isRepeatable, type Progress } from "./runStatement.ts";

const PARQUET = "application/vnd.apache.parquet";

interface Props {
  readonly sql: string | null;
  readonly progress: Progress;
}

export function Export({ sql, progress: { columns, rows } }: Props) {
  if (columns.length === 0) return null;
  const saveCsv = () =>
    saveFile("latentdb.csv", new Blob([toCsv(columns.map(({ name }) => name), rows)], { type: "text/csv" }));
  return (
    <>
      <button type="button" className="button quiet small" onClick={saveCsv}>
        <Download size={13} aria-hidden /> CSV
      </button>
      {sql !== null && isRepeatable(sql) && <ParquetButton sql={sql} />}
    </>
  );
}

function ParquetButton({ sql }: { readonly sql: string }) {
  const [failure, setFailure] = useState<string | null>(null);
  const [bytes, setBytes] = useState<number | null>(null);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  const save = async () => {
    const own = new AbortController();
    controller.current = own;
    setFailure(null);
    setBytes(0);
    try {
      const file = await download(sql, setBytes, own.signal);
      saveFile("latentdb.parquet", file);
    } catch (error) {
      if (!isAbort(error)) setFailure(error instanceof Error ? error.message : String(error));
    } finally {
      setBytes(null);
    }
  };
  if (bytes !== null) {
    return (
      <button type="button" className="button quiet small" onClick={() => controller.current?.abort()}>
        <Square size={13} aria-hidden /> Stop, {formatBytes(bytes)} so far
      </button>
    );
  }
  return (
    <>
      {failure !== null && <span role="alert">Parquet: {failure}</span>}
      <button type="button" className="button quiet small" title="Runs the query once more, and saves all of its rows" onClick={() => void save()}>
        <Download size={13} aria-hidden /> Parquet
      </button>
    </>
  );
}

async function download(sql: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<Blob> {
  const answer = await send("/v1/sql", { body: { sql }, accept: PARQUET, signal });
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = answer.body?.getReader();
  for (let chunk = await reader?.read(); chunk !== undefined && !chunk.done; chunk = await reader?.read()) {
    chunks.push(chunk.value);
    bytes += chunk.value.length;
    onBytes(bytes);
  }
  return new Blob(chunks, { type: PARQUET });
}
