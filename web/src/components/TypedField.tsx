/**
 * A field whose value goes to the page's address a moment after the last letter.
 */
import { useEffect, useState } from "react";
import { useUrlState } from "@/app/urlState.ts";

/** How long after the last letter. */
const PAUSE = 250;

interface Props {
  /** The address' parameter. */
  readonly name: string;
  readonly label: string;
  readonly placeholder?: string;
  readonly isNumber?: boolean;
  /** Makes it the page's search box, with this class, its label hidden. */
  readonly searchClass?: string | undefined;
}

export function TypedField({ name, label, placeholder = "any", isNumber = false, searchClass }: Props) {
  const [parameters, change] = useUrlState();
  const applied = parameters.get(name) ?? "";
  const [text, setText] = useState(applied);
  const [seen, setSeen] = useState(applied);
  if (seen !== applied) {
    setSeen(applied);
    setText(applied);
  }
  useEffect(() => {
    if (text === applied) return;
    const timer = setTimeout(() => change({ [name]: text }), PAUSE);
    return () => clearTimeout(timer);
  }, [text, applied, change, name]);
  const isSearch = searchClass !== undefined;
  return (
    <label className={searchClass ?? "field"}>
      <span className={isSearch ? "visually-hidden" : undefined}>{label}</span>
      <input
        className="input"
        {...(isSearch ? { "data-search": true, type: "search" } : { inputMode: isNumber ? ("decimal" as const) : ("text" as const) })}
        placeholder={placeholder}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
    </label>
  );
}
