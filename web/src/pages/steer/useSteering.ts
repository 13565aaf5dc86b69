/**
 * A steering run while it grows: its answer so far, what went wrong, and a way to stop it.
 */
import { useCallback, useEffect, useRef, useState } from "react";
import { isAbort } from "@/api/http.ts";
import { type ChatRequest, type CompletionRequest, type SteerAnswer, steer } from "@/api/steer.ts";

export interface Steering {
  readonly answer: SteerAnswer | null;
  readonly error: unknown;
  readonly isRunning: boolean;
  readonly run: (request: CompletionRequest | ChatRequest) => void;
  readonly stop: () => void;
  /** Shows an answer that was kept. */
  readonly show: (answer: SteerAnswer | null) => void;
}

export function useSteering(onEnd?: (answer: SteerAnswer) => void): Steering {
  const [answer, setAnswer] = useState<SteerAnswer | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [isRunning, setRunning] = useState(false);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);

  const stop = useCallback(() => controller.current?.abort(), []);
  const show = useCallback((next: SteerAnswer | null) => {
    setError(null);
    setAnswer(next);
  }, []);
  const run = (request: CompletionRequest | ChatRequest) => {
    controller.current?.abort();
    const own = new AbortController();
    controller.current = own;
    let last: SteerAnswer | null = null;
    setError(null);
    setAnswer(null);
    setRunning(true);
    steer(
      request,
      (next) => {
        last = next;
        setAnswer(next);
      },
      own.signal,
    )
      .then(() => last !== null && onEnd?.(last))
      .catch((reason: unknown) => {
        if (!isAbort(reason)) setError(reason);
      })
      .finally(() => {
        if (controller.current === own) setRunning(false);
      });
  };
  return { answer, error, isRunning, run, stop, show };
}
