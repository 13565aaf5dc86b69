/**
 * Which mention of a feature the pointer rests on or the focus is on: one card serves all of them, since
 * a page may have hundreds.
 *
 * The card opens after a moment, and stays while the pointer is on the mention or on the card.
 */
import { useSyncExternalStore } from "react";
import type { FeatureAddress } from "@/lib/address.ts";

export interface Hovered {
  readonly address: FeatureAddress;
  readonly element: Element;
}

const OPENING = 180;
const CLOSING = 140;

let hovered: Hovered | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function set(next: Hovered | null): void {
  clearTimeout(timer);
  hovered = next;
  for (const listener of listeners) listener();
}

export function enterMention(next: Hovered): void {
  clearTimeout(timer);
  // From one mention to another there is no waiting.
  timer = setTimeout(() => set(next), hovered === null ? OPENING : CLOSING / 2);
}

export function leaveMention(): void {
  clearTimeout(timer);
  timer = setTimeout(() => set(null), CLOSING);
}

/** The pointer is on the card: it stays. */
export function stayOpen(): void {
  clearTimeout(timer);
}

export function closeCard(): void {
  set(null);
}

export function useHovered(): Hovered | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => hovered,
  );
}
