/**
 * What stands in a place that has nothing to show yet: its outline while it loads, what went wrong, why
 * something cannot be done, or that there is nothing and what to do about it.
 */
import { CircleAlert, Info } from "lucide-react";
import type { ReactNode } from "react";
import { ServerError } from "@/api/error.ts";
import { inert } from "@/lib/inert.ts";
import css from "./Status.module.css";

/** Grey lines in the size of what is on its way. */
export function Skeleton({ lines = 3, height = 14 }: { readonly lines?: number; readonly height?: number }) {
  return (
    <div className={css.skeleton} role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} style={{ height, width: `${92 - ((line * 37) % 45)}%` }} />
      ))}
    </div>
  );
}

export function ErrorNote({ error, retry }: { readonly error: unknown; readonly retry?: () => void }) {
  const known = error instanceof ServerError ? error : null;
  const message = error instanceof Error ? error.message : String(error);
  return (
    <div className={css.error} role="alert">
      <CircleAlert size={16} aria-hidden />
      <div className={css.text}>
        <p className="label-text">{inert(message)}</p>
        {known?.detail && <p className="label-text">{inert(known.detail)}</p>}
        {known?.hint && <p className="label-text muted">{inert(known.hint)}</p>}
      </div>
      {retry && (
        <button type="button" className="button small" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Why something is not offered here, and what would change that. */
export function Reason({ children }: { readonly children: ReactNode }) {
  return (
    <div className={css.reason} role="note">
      <Info size={15} aria-hidden />
      <p className="label-text">{children}</p>
    </div>
  );
}

interface EmptyProps {
  readonly title: string;
  readonly children?: ReactNode;
}

export function Empty({ title, children }: EmptyProps) {
  return (
    <div className={css.empty}>
      <p className={css.title}>{title}</p>
      {children && <div className="muted prose">{children}</div>}
    </div>
  );
}
