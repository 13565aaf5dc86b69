/**
 * A steering strength, in multiples of the feature's largest known activation: one unit everywhere, and
 * the number that goes to the model beside it.
 */
import { formatActivation } from "@/lib/format.ts";
import css from "./StrengthSlider.module.css";

interface Props {
  readonly name: string;
  readonly times: number;
  readonly most: number;
  readonly onChange: (times: number) => void;
}

export const STRONGEST = 10;

export function StrengthSlider({ name, times, most, onChange }: Props) {
  return (
    <div className={css.slider}>
      <input
        type="range"
        min={-STRONGEST}
        max={STRONGEST}
        step={0.25}
        value={times}
        aria-label={name}
        aria-valuetext={`${times} times its largest activation`}
        onChange={(event) => onChange(Number(event.target.value))}
      />
      <label className={css.times}>
        <span className="visually-hidden">{name}, times the largest activation</span>
        <input
          type="number"
          className="input"
          step={0.25}
          value={times}
          onChange={(event) => {
            const next = event.target.valueAsNumber;
            if (Number.isFinite(next)) onChange(next);
          }}
        />
        <span aria-hidden>× max</span>
      </label>
      <span className={css.strength} title={`${times} × ${formatActivation(most)}`}>
        = {formatActivation(times * most)}
      </span>
    </div>
  );
}
