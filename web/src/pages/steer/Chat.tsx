/**
 * Two conversations with the same person: one with the model as it is, one with it steered. What each
 * answers stays in its own, with its probabilities; so does as much as came of an answer that is stopped.
 */
import { RotateCcw, Send, Square } from "lucide-react";
import { useEffect, useState } from "react";
import { type ChatMessage, sideOf, type SteerAnswer, type TokenLogprob } from "@/api/steer.ts";
import { useUrlState } from "@/app/urlState.ts";
import { CopyButton } from "@/components/Copy.tsx";
import { ErrorNote } from "@/components/Status.tsx";
import { type RunProps, steeredFeatures } from "./Completion.tsx";
import { GeneratedText } from "./GeneratedText.tsx";
import css from "./SteerPage.module.css";
import { useSteering } from "./useSteering.ts";

interface Turn {
  readonly message: ChatMessage;
  /** Of an answer; none of what the person said. */
  readonly logprobs: readonly TokenLogprob[];
}

interface Conversations {
  readonly default: readonly Turn[];
  readonly steered: readonly Turn[];
}

const NONE: Conversations = { default: [], steered: [] };

export function Chat({ model, state, maxima, loaded, onSaved }: RunProps) {
  const [parameters, change] = useUrlState();
  const saved = parameters.get("saved");
  const [before, setBefore] = useState<Conversations>(NONE);
  const [text, setText] = useState("");
  const [skipsSpecial, setSkipsSpecial] = useState(true);
  const keep = (last: SteerAnswer) => {
    setBefore((known) => withAnswer(known, last));
    show(null);
  };
  const { answer, error, isRunning, run, stop, show } = useSteering((last) => {
    keep(last);
    if (last.id !== null) onSaved(last.id);
  });
  useEffect(() => {
    if (loaded?.defaultChatMessages) setBefore((known) => withAnswer(known, loaded));
  }, [loaded]);

  const send = () => {
    const said: Turn = { message: { role: "user", content: text }, logprobs: [] };
    const next = { default: [...before.default, said], steered: [...before.steered, said] };
    setBefore(next);
    setText("");
    change({ model: model.model_id, saved: null });
    run({
      kind: "chat",
      modelId: model.model_id,
      defaultChatMessages: next.default.map(({ message }) => message),
      steeredChatMessages: next.steered.map(({ message }) => message),
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
        {panes.map(([name, turns, which]) => (
          <section key={name} className={`panel ${name === "Steered" ? css.steered : ""}`} aria-label={name}>
            <div className="panel-head">
              <h2>{name}</h2>
            </div>
            <div className={css.pane} aria-live="polite" aria-busy={isRunning}>
              {turns.length === 0 && <p className="muted">Say something below.</p>}
              {turns.map(({ message, logprobs }, at) => (
                <div key={at} className={css.message} data-role={message.role}>
                  <GeneratedText text={message.content} logprobs={logprobs} isGrowing={false} />
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
          if (!isRunning) send();
          else {
            stop();
            if (answer !== null) keep(answer);
          }
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
      <div className={css.status}>
        <label className={css.check}>
          <input type="checkbox" checked={skipsSpecial} onChange={(event) => setSkipsSpecial(event.target.checked)} /> Leave special tokens unsteered
        </label>
        {saved !== null && !isRunning && <CopyButton name="Link to this run" text={() => `${window.location.origin}/steer?saved=${encodeURIComponent(saved)}`} />}
      </div>
    </div>
  );
}

/** The conversations with an answer; without a steered one, the default one stands for it. */
function withAnswer(known: Conversations, answer: SteerAnswer): Conversations {
  const of = (which: "DEFAULT" | "STEERED", turns: readonly Turn[]): readonly Turn[] => {
    const { messages, logprobs } = sideOf(answer, which);
    const earlier = (message: ChatMessage, turn: Turn | undefined): Turn =>
      turn?.message.content === message.content ? turn : { message, logprobs: [] };
    return messages.map((message, at) => (at === messages.length - 1 ? { message, logprobs } : earlier(message, turns[at])));
  };
  const plain = of("DEFAULT", known.default);
  const steered = of("STEERED", known.steered);
  return { default: plain, steered: steered.length > 0 ? steered : plain };
}
