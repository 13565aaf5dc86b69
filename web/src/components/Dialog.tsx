/**
 * A modal dialog: the browser's own, which keeps the focus inside and closes with Esc.
 */
import { X } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import css from "./Dialog.module.css";

interface Props {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly size?: "small" | "large";
  readonly actions?: ReactNode;
}

export function Dialog({ title, onClose, children, size = "small", actions }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (element !== null && !element.open) element.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={css[size]}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
    >
      <div className={css.sheet}>
        <header className={css.head}>
          <h2 className="label-text">{title}</h2>
          <div className="row">
            {actions}
            <button type="button" className="icon-button" onClick={onClose} aria-label="Close">
              <X size={16} aria-hidden />
            </button>
          </div>
        </header>
        <div className={css.body}>{children}</div>
      </div>
    </dialog>
  );
}
