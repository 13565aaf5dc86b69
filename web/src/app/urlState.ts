/**
 * State that lives in the page's address, so that a link restores it and Back undoes it.
 */
import { useCallback } from "react";
import { useSearchParams } from "react-router";

export type Changes = Readonly<Record<string, string | readonly string[] | null | undefined>>;

/** The address' parameters, and a way to change some: null or "" takes one away. */
export function useUrlState(): [URLSearchParams, (changes: Changes, options?: { replace?: boolean }) => void] {
  const [parameters, setParameters] = useSearchParams();
  const change = useCallback(
    (changes: Changes, { replace = true } = {}) => {
      setParameters((before) => changed(before, changes), { replace, preventScrollReset: true });
    },
    [setParameters],
  );
  return [parameters, change];
}

export function changed(before: URLSearchParams, changes: Changes): URLSearchParams {
  const after = new URLSearchParams(before);
  for (const [name, value] of Object.entries(changes)) {
    after.delete(name);
    if (Array.isArray(value)) for (const each of value as readonly string[]) after.append(name, each);
    else if (typeof value === "string" && value !== "") after.set(name, value);
  }
  return after;
}

/** A parameter as a number, or null where it is none. */
export function numberOf(parameters: URLSearchParams, name: string): number | null {
  const text = parameters.get(name);
  if (text === null || text.trim() === "") return null;
  const number = Number(text);
  return Number.isFinite(number) ? number : null;
}
