/**
 * The title of the browser's tab.
 */
import { useEffect } from "react";
import { inert } from "@/lib/inert.ts";

export function useTitle(title: string | null): void {
  useEffect(() => {
    document.title = title === null ? "LatentDB" : `${inert(title, 120)} · LatentDB`;
  }, [title]);
}
