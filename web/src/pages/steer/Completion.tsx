/**
 * A prompt, and the two texts that go on from it.
 */
import { Play, Square } from "lucide-react";
import { useEffect, useState } from "react";
import type { Model } from "@/api/registry.ts";
import { type SavedRun, sideOf } from "@/api/steer.ts";
import { useUrlState } from "@/app/urlState.ts";
import { CopyButton } from "@/components/Copy.tsx";
import { ErrorNote } from "@/components/Status.tsx";
import { GeneratedText } from "./GeneratedText.tsx";
import css from "./SteerPage.module.css";
import { type SteerState, strengthOf } from "./steerState.ts";
import type { Maxima } from "./useMaxima.ts";
import { useSteering } from "./useSteering.ts";

export interface RunProps {
  readonly model: Model;
  readonly state: SteerState;
  readonly maxima: Maxima;
  readonly loaded: SavedRun | undefined;
  readonly onSaved: (run: string) => void;
}

const EXAMPLE = "The function returns";

export function steeredFeatures({ model, state, maxima }: Pick<RunProps, "model" | "state" | "maxima">) {
  return state.items
    .filter((item) => !item.isOff)
    .map((item) => ({ modelId: model.model_id, layer: item.source, index: item.index, strength: strengthOf(item, maxima.of(item)) }));
}

export function Completion({ model, state, maxima, loaded, onSaved }: RunProps) {
  const [parameters, change] = useUrlState();
  const [prompt, setPrompt] = useState(parameters.get("prompt") ?? loaded?.inputText ?? EXAMPLE);
  const [asked, setAsked] = useState(loaded?.inputText ?? prompt);
  const { answer, error, isRunning, run, stop, show } = useSteering((last) => last.id !== null && onSaved(last.id));
  useEffect(() => {
    if (loaded?.inputText === undefined) return;
    setPrompt(loaded.inputText);
    setAsked(loaded.inputText);
    show(loaded);
  }, [loaded, show]);

  const features = steeredFeatures({ model, state, maxima });
  const whyNot = features.length === 0 ? "Add a feature to steer by first." : maxima.isReady || state.items.length === 0 ? null : "Reading how strong the features get…";
  const start = () => {
    setAsked(prompt);
    change({ prompt, model: model.model_id, saved: null });
    run({ kind: "completion", modelId: model.model_id, prompt, features, ...state.settings });
  };
  const saved = parameters.get("saved");
  const sides = [
    ["Default", answer === null ? null : sideOf(answer, "DEFAULT")],
    ["Steered", answer === null ? null : sideOf(answer, "STEERED")],
  ] as const;
  return (
    <div className="stack">
      <form
        className={css.prompt}
        onSubmit={(event) => {
          event.preventDefault();
          if (isRunning) stop();
          else start();
        }}
      >
        <textarea
          className="textarea"
          aria-label="Prompt"
          rows={2}
          value={prompt}
          onChange={(event) => setPrompt(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            if (whyNot === null && !isRunning && prompt !== "") start();
          }}
        />
        <button type="submit" className="button primary" disabled={!isRunning && (whyNot !== null || prompt === "")}>
          {isRunning ? <Square size={13} aria-hidden /> : <Play size={13} aria-hidden />}
          {isRunning ? "Stop" : "Steer"}
        </button>
      </form>
      <div className={css.status}>
        <span className="muted">{whyNot ?? "Enter runs, Shift and Enter breaks the line."}</span>
        {saved !== null && !isRunning && <CopyButton name="Link to this run" text={() => `${window.location.origin}/steer?saved=${encodeURIComponent(saved)}`} />}
      </div>
      {error !== null && <ErrorNote error={error} />}
      <div className={css.panes}>
        {sides.map(([name, side]) => (
          <section key={name} className={`panel ${name === "Steered" ? css.steered : ""}`} aria-label={name}>
            <div className="panel-head">
              <h2>{name}</h2>
              {side !== null && side.text !== "" && !isRunning && <CopyButton text={asked + side.text} />}
            </div>
            <div className={css.pane} aria-live="polite" aria-busy={isRunning}>
              {side === null ? (
                <p className="muted">{name === "Default" ? "What the model writes by itself" : "What it writes with the features turned"}</p>
              ) : (
                <GeneratedText prompt={asked} text={side.text} logprobs={side.logprobs} isGrowing={isRunning} />
              )}
            </div>
          </section>
        ))}
      </div>
    </div>
  );
}
