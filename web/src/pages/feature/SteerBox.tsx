/**
 * Steering by the feature at hand: a prompt, a strength in multiples of its largest activation, and the
 * two texts that come out.
 */
import { Play, Square } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import { useRegistry, whyNotSource } from "@/api/registry.ts";
import { sideOf } from "@/api/steer.ts";
import { ErrorNote, Reason } from "@/components/Status.tsx";
import { StrengthSlider } from "@/components/StrengthSlider.tsx";
import { type FeatureAddress, formatAddress } from "@/lib/address.ts";
import { useSteering } from "@/pages/steer/useSteering.ts";
import css from "./SteerBox.module.css";

const TOKENS = 28;

export function SteerBox({ address, most }: { readonly address: FeatureAddress; readonly most: number }) {
  const { data: registry } = useRegistry();
  const whyNot = whyNotSource(registry, address.model, address.source);
  const [prompt, setPrompt] = useState("The function returns");
  const [times, setTimes] = useState(2);
  const { answer, error, isRunning, run, stop } = useSteering();
  const scale = most > 0 ? most : 10;
  const start = () =>
    run({
      kind: "completion",
      modelId: address.model,
      prompt,
      features: [{ modelId: address.model, layer: address.source, index: address.index.toString(), strength: times * scale }],
      temperature: 0,
      n_tokens: TOKENS,
      freq_penalty: 0,
      seed: 16,
      strength_multiplier: 1,
      steer_method: "SIMPLE_ADDITIVE",
    });
  const link = new URLSearchParams({
    model: address.model,
    feature: `${formatAddress(address)}@${times}`,
    prompt,
  });
  return (
    <section className="panel" aria-labelledby="steer-box">
      <div className="panel-head">
        <h2 id="steer-box">Steer</h2>
        {whyNot === null && (
          <Link className="link" to={`/steer?${link}`}>
            All settings
          </Link>
        )}
      </div>
      <div className={css.body}>
        {whyNot !== null ? (
          <Reason>{whyNot}</Reason>
        ) : (
          <form
            className="stack"
            onSubmit={(event) => {
              event.preventDefault();
              if (isRunning) stop();
              else start();
            }}
          >
            <input className="input" aria-label="Prompt" value={prompt} onChange={(event) => setPrompt(event.target.value)} />
            <StrengthSlider times={times} most={scale} onChange={setTimes} name="Strength" />
            <button type="submit" className="button">
              {isRunning ? <Square size={13} aria-hidden /> : <Play size={13} aria-hidden />}
              {isRunning ? "Stop" : "Run"}
            </button>
            {error !== null && <ErrorNote error={error} />}
            {answer !== null && (
              <dl className={css.texts} aria-live="polite">
                <div>
                  <dt>Default</dt>
                  <dd>{sideOf(answer, "DEFAULT").text}</dd>
                </div>
                <div>
                  <dt>Steered</dt>
                  <dd>{sideOf(answer, "STEERED").text}</dd>
                </div>
              </dl>
            )}
          </form>
        )}
      </div>
    </section>
  );
}
