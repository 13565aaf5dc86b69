/**
 * The form of the searches that run a text through a model: the text, and options below it.
 */
import { Search } from "lucide-react";
import type { ReactNode } from "react";
import css from "./SearchPage.module.css";
import { useSearchText } from "./useSearchText.ts";

interface Props {
  readonly label: string;
  readonly placeholder: string;
  readonly isDisabled: boolean;
  readonly onSubmit: (text: string) => void;
  readonly children: ReactNode;
}

export function TextForm({ label, placeholder, isDisabled, onSubmit, children }: Props) {
  const [text, setText] = useSearchText();
  return (
    <form
      role="search"
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit(text);
      }}
    >
      <div className={css.query}>
        <textarea
          className="textarea"
          data-search
          rows={2}
          aria-label={label}
          placeholder={placeholder}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            if (text !== "" && !isDisabled) onSubmit(text);
          }}
        />
        <button type="submit" className="button primary" disabled={text === "" || isDisabled}>
          <Search size={15} aria-hidden /> Run
        </button>
      </div>
      <div className={css.options}>{children}</div>
    </form>
  );
}
