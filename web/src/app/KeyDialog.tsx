/**
 * Where the key for changes is given.
 */
import { useState } from "react";
import { currentKey, rememberKey } from "@/api/key.ts";
import { Dialog } from "@/components/Dialog.tsx";

export function KeyDialog({ onClose }: { readonly onClose: () => void }) {
  const [key, setKey] = useState(currentKey());
  return (
    <Dialog title="API key" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          rememberKey(key);
          onClose();
        }}
      >
        <p className="muted">
          Reading needs no key on this machine. Writing tables through SQL does. Make one with{" "}
          <code>latentdb key add</code>. It stays in this browser.
        </p>
        <label className="field">
          <span>Key</span>
          <input className="input mono" type="password" autoComplete="off" value={key} onChange={(event) => setKey(event.target.value)} />
        </label>
        <div className="row">
          <button type="submit" className="button primary">
            Keep
          </button>
          <button
            type="button"
            className="button"
            onClick={() => {
              rememberKey("");
              onClose();
            }}
          >
            Forget
          </button>
        </div>
      </form>
    </Dialog>
  );
}
