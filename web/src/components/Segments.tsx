/**
 * A choice of one among a few, side by side.
 */
import { useId } from "react";
import css from "./Segments.module.css";

interface Props<Value extends string> {
  readonly name: string;
  readonly value: Value;
  readonly options: ReadonlyArray<readonly [value: Value, label: string, whyNot?: string | null]>;
  readonly onChange: (value: Value) => void;
}

export function Segments<Value extends string>({ name, value, options, onChange }: Props<Value>) {
  const id = useId();
  return (
    <fieldset className={css.segments}>
      <legend className="visually-hidden">{name}</legend>
      {options.map(([option, label, whyNot]) => (
        <label key={option} title={whyNot ?? undefined} className={option === value ? css.chosen : undefined}>
          <input
            type="radio"
            className="visually-hidden"
            name={id}
            checked={option === value}
            disabled={Boolean(whyNot)}
            onChange={() => onChange(option)}
          />
          {label}
        </label>
      ))}
    </fieldset>
  );
}
