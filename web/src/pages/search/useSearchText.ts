/**
 * The text in a search field: what the reader types, and what the address says whenever that changes.
 */
import { useState } from "react";
import { useUrlState } from "@/app/urlState.ts";

export function useSearchText(): [text: string, setText: (text: string) => void] {
  const [parameters] = useUrlState();
  const applied = parameters.get("q") ?? "";
  const [text, setText] = useState(applied);
  const [seen, setSeen] = useState(applied);
  if (seen !== applied) {
    setSeen(applied);
    setText(applied);
  }
  return [text, setText];
}
