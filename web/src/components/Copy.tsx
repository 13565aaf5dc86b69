/**
 * Text to take along: a block of code with a button that copies it, and the button alone.
 */
import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";
import css from "./Copy.module.css";

/** How long the button says that it has copied. */
const SAID = 1600;

export function CopyButton({ text, name = "Copy", isSmall = true }: { readonly text: string | (() => string); readonly name?: string; readonly isSmall?: boolean }) {
  const [state, setState] = useState<"ready" | "copied" | "failed">("ready");
  useEffect(() => {
    if (state === "ready") return;
    const timer = setTimeout(() => setState("ready"), SAID);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () => {
    navigator.clipboard.writeText(typeof text === "string" ? text : text()).then(
      () => setState("copied"),
      () => setState("failed"),
    );
  };
  return (
    <button type="button" className={`button quiet ${isSmall ? "small" : ""}`} onClick={copy} aria-live="polite">
      {state === "copied" ? <Check size={13} aria-hidden /> : <CopyIcon size={13} aria-hidden />}
      {state === "ready" ? name : state === "copied" ? "Copied" : "Not allowed"}
    </button>
  );
}

export function CodeBlock({ code, children }: { readonly code: string; readonly children?: React.ReactNode }) {
  return (
    <div className={css.block}>
      <pre tabIndex={0}>{code}</pre>
      <div className={css.actions}>
        {children}
        <CopyButton text={code} />
      </div>
    </div>
  );
}
