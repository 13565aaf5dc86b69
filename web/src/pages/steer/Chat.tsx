/**
 * Two conversations with the same person: one with the model as it is, one with it steered. What each
 * answers stays in its own.
 */
import { RotateCcw, Send, Square } from "lucide-react";
import { useEffect, useState } from "react";
import { type ChatMessage, sideOf, type SteerAnswer } from "@/api/steer.ts";
import { useUrlState } from "@/app/urlState.ts";
import { ErrorNote } from "@/components/Status.tsx";
import { type RunProps, steeredFeatures } from "./Completion.tsx";
import { GeneratedText } from "./GeneratedText.tsx";
import css from "./SteerPage.module.css";
import { useSteering } from "./useSteering.ts";

interface Conversations {
  readonly default: readonly ChatMessage[];
  readonly steered: readonly ChatMessage[];
}

const NONE: Conversations = { default: [], steered: [] };

export function Chat({ model, state, maxima, loaded, onSaved }: RunProps) {
  const [, change] = useUrlState();
  const [before, setBefore] = useState<Conversations>(NONE);
  const [text, setText] = useState("");
  const [skipsSpecial, setSkipsSpecial] = useState(true);
  const { answer, error, isRunning, run, stop, show } = useSteering((last) => {
    setBefore(conversations(last));
    show(null);
    if (last.id !== null) onSaved(last.id);
  });
  useEffect(() => {
    if (loaded?.defaultChatMessages) setBefore(conversations(loaded));
  }, [loaded]);

  const send = () => {
    const message: ChatMessage = { role: "user", content: text };
    const next = { default: [...before.default, message], steered: [...before.steered, message] };
    setBefore(next);
    setText("");
    change({ model: model.model_id, saved: null });
    run({
      kind: "chat",
      modelId: model.model_id,
      defaultChatMessages: next.default,
      steeredChatMessages: next.steered,
      steer_special_tokens: !skipsSpecial,
      features: steeredFeatures({ model, state, maxima }),
      ...state.settings,
    });
  };
  const panes = [
    ["Default", before.default, "DEFAULT"],
    ["Steered", before.steered, "STEERED"],
  ] as const;
  return (
    <div className="stack">
      <div className={css.panes}>
        {panes.map(([name, messages, which]) => (
          <section key={name} className={`panel ${name === "Steered" ? css.steered : ""}`} aria-label={name}>
            <div className="panel-head">
              <h2>{name}</h2>
            </div>
            <div className={css.pane} aria-live="polite" aria-busy={isRunning}>
              {messages.length === 0 && <p className="muted">Say something below.</p>}
              {messages.map((message, at) => (
                <div key={at} className={css.message} data-role={message.role}>
                  <GeneratedText text={message.content} logprobs={[]} isGrowing={false} />
                </div>
              ))}
              {answer !== null && (
                <div className={css.message} data-role="assistant">
                  <GeneratedText {...sideOf(answer, which)} isGrowing={isRunning} />
                </div>
              )}
            </div>
          </section>
        ))}
      </div>
      {error !== null && <ErrorNote error={error} />}
      <form
        className={css.prompt}
        onSubmit={(event) => {
          event.preventDefault();
          if (isRunning) stop();
          else send();
        }}
      >
        <textarea
          className="textarea"
          aria-label="Message"
          rows={2}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            if (!isRunning && text !== "") send();
          }}
        />
        <button type="submit" className="button primary" disabled={!isRunning && text === ""}>
          {isRunning ? <Square size={13} aria-hidden /> : <Send size={13} aria-hidden />}
          {isRunning ? "Stop" : "Send"}
        </button>
        <button type="button" className="button" disabled={isRunning || before.default.length === 0} onClick={() => setBefore(NONE)}>
          <RotateCcw size={13} aria-hidden /> Begin anew
        </button>
      </form>
      <label className={css.check}>
        <input type="checkbox" checked={skipsSpecial} onChange={(event) => setSkipsSpecial(event.target.checked)} /> Leave special tokens unsteered
      </label>
    </div>
  );
}

/** The conversations of an answer; without a steered one, the default one stands for it. */
function conversations(answer: SteerAnswer): Conversations {
  const plain = sideOf(answer, "DEFAULT").messages;
  const steered = sideOf(answer, "STEERED").messages;
  return { default: plain, steered: steered.length > 0 ? steered : plain };
}
