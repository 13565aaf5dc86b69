/**
 * How a text is written and steered: length, chance, seed, method.
 */
import type { SteerMethod, SteerSettings } from "@/api/steer.ts";
import css from "./SteerPage.module.css";
import { METHODS, USUAL } from "./steerState.ts";

interface Props {
  readonly settings: SteerSettings;
  readonly onChange: (settings: SteerSettings) => void;
}

const FIELDS = [
  ["n_tokens", "Tokens", 1, 1, 512],
  ["temperature", "Temperature", 0.1, 0, 2],
  ["seed", "Seed", 1, 0, 100_000_000],
  ["strength_multiplier", "All strengths ×", 0.25, -10, 10],
  ["freq_penalty", "Frequency penalty", 0.1, -2, 2],
] as const;

export function Settings({ settings, onChange }: Props) {
  const isUsual = JSON.stringify(settings) === JSON.stringify(USUAL);
  return (
    <details className={css.advanced}>
      <summary>Settings{!isUsual && " (changed)"}</summary>
      <div className={css.fields}>
        {FIELDS.map(([name, label, step, least, most]) => (
          <label key={name} className="field">
            <span>{label}</span>
            <input
              className="input"
              type="number"
              step={step}
              min={least}
              max={most}
              value={settings[name]}
              onChange={(event) => {
                const next = event.target.valueAsNumber;
                if (Number.isFinite(next)) onChange({ ...settings, [name]: Math.min(Math.max(next, least), most) });
              }}
            />
          </label>
        ))}
        <label className={`field ${css.wide}`}>
          <span>Method</span>
          <select className="select" value={settings.steer_method} onChange={(event) => onChange({ ...settings, steer_method: event.target.value as SteerMethod })}>
            {METHODS.map(([method, name]) => (
              <option key={method} value={method}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="button" className="button small" disabled={isUsual} onClick={() => onChange(USUAL)}>
          As before
        </button>
      </div>
    </details>
  );
}
