/**
 * A statement while it runs and after: its rows so far, how long it takes, what went wrong.
 */
import { useCallback, useEffect, useRef, useState } from "react";
import { isAbort } from "@/api/http.ts";
import { type Progress, runStatement } from "./runStatement.ts";

export interface StatementRun {
  readonly sql: string | null;
  readonly progress: Progress | null;
  readonly error: unknown;
  readonly isRunning: boolean;
  readonly isStopped: boolean;
  readonly milliseconds: number;
  readonly run: (sql: string, withoutKey?: boolean) => void;
  readonly stop: () => void;
}

/** How often rows that arrive are drawn. */
const PAUSE = 120;

export function useStatement(): StatementRun {
  const [state, setState] = useState<Omit<StatementRun, "run" | "stop">>({
    sql: null,
    progress: null,
    error: null,
    isRunning: false,
    isStopped: false,
    milliseconds: 0,
  });
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);

  const stop = useCallback(() => controller.current?.abort(), []);
  const run = useCallback((sql: string, withoutKey = false) => {
    controller.current?.abort();
    const own = new AbortController();
    controller.current = own;
    const started = performance.now();
    let latest: Progress | null = null;
    const elapsed = () => performance.now() - started;
    const isCurrent = () => controller.current === own;
    setState({ sql, progress: null, error: null, isRunning: true, isStopped: false, milliseconds: 0 });
    const timer = setInterval(() => {
      if (isCurrent()) setState((before) => ({ ...before, progress: latest && { ...latest, rows: latest.rows.slice() }, milliseconds: elapsed() }));
    }, PAUSE);
    runStatement(sql, { signal: own.signal, withoutKey, onProgress: (progress) => (latest = progress) })
      .then((progress) => isCurrent() && setState((before) => ({ ...before, progress, milliseconds: elapsed() })))
      .catch((error: unknown) => {
        if (!isCurrent()) return;
        if (isAbort(error)) setState((before) => ({ ...before, isStopped: true, progress: latest }));
        else setState((before) => ({ ...before, error, progress: latest }));
      })
      .finally(() => {
        clearInterval(timer);
        if (isCurrent()) setState((before) => ({ ...before, isRunning: false, milliseconds: elapsed() }));
      });
  }, []);
  return { ...state, run, stop };
}
