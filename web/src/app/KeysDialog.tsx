/**
 * The list of keys.
 */
import { Dialog } from "@/components/Dialog.tsx";
import { SHORTCUTS } from "./keys.ts";
import css from "./Shell.module.css";

export function KeysDialog({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className={css.keys}>
        {SHORTCUTS.map(([keys, meaning]) => (
          <div key={meaning + keys.join()}>
            <dt>{meaning}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
