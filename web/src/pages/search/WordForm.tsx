/**
 * The form of the searches by a few words: one line, which goes to the address, and options below it.
 */
import { Search } from "lucide-react";
import type { ReactNode } from "react";
import { useUrlState } from "@/app/urlState.ts";
import css from "./SearchPage.module.css";
import { useSearchText } from "./useSearchText.ts";

interface Props {
  readonly label: string;
  readonly placeholder: string;
  /** Whether blanks count, as they do in tokens. */
  readonly isToken?: boolean;
  readonly shortest: number;
  readonly children?: ReactNode;
}

export function WordForm({ label, placeholder, isToken = false, shortest, children }: Props) {
  const [, change] = useUrlState();
  const [text, setText] = useSearchText();
  const letters = isToken ? text.length : text.trim().length;
  return (
    <form
      role="search"
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        change({ q: text }, { replace: false });
      }}
    >
      <div className={css.query}>
        <input className={isToken ? "input mono" : "input"} type="search" data-search aria-label={label} placeholder={placeholder} value={text} onChange={(event) => setText(event.target.value)} />
        <button type="submit" className="button primary" disabled={letters < shortest}>
          <Search size={15} aria-hidden /> Search
        </button>
      </div>
      {children}
    </form>
  );
}
