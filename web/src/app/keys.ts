/**
 * Keys that work on every page, and the list that the help shows.
 *
 * Letters do nothing while the focus is in a field or a dialog is open, and keys pressed with Ctrl, Alt
 * or Meta stay the browser's, but for Ctrl-K.
 */
import { useEffect, useRef } from "react";

export const SHORTCUTS: ReadonlyArray<readonly [keys: readonly string[], meaning: string]> = [
  [["/"], "Search"],
  [["Ctrl", "K"], "Jump to a page, source or feature"],
  [["?"], "This list"],
  [["←", "→"], "Previous and next feature"],
  [["r"], "A random feature of the same source"],
  [["t"], "Test a text on the feature"],
  [["g", "h"], "Home"],
  [["g", "s"], "Search"],
  [["g", "t"], "Steer"],
  [["g", "q"], "SQL"],
  [["g", "l"], "Lens"],
  [["g", "e"], "Evaluations"],
  [["g", "d"], "Data"],
  [["Ctrl", "Enter"], "Run the statement, the text or the prompt"],
  [["Esc"], "Close"],
];

export const PLACES: Readonly<Record<string, string>> = {
  h: "/",
  s: "/search",
  t: "/steer",
  q: "/sql",
  l: "/lens",
  e: "/evals",
  d: "/data",
};

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName) || target.shadowRoot !== null;
}

export type KeyHandler = (key: string, event: KeyboardEvent) => void;

/** Calls `handler` with plain keys that are pressed outside fields and dialogs. */
export function useKeys(handler: KeyHandler): void {
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (isTyping(event.target) || document.querySelector("dialog[open]") !== null) return;
      latest.current(event.key, event);
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}
