/**
 * One text on which a feature fires: the strongest token and its value, then the text around it. A
 * click shows the whole text and the values token by token.
 */
import { FlaskConical } from "lucide-react";
import { memo, useState } from "react";
import type { Activation } from "@/api/feature.ts";
import { TokenText } from "@/components/TokenText.tsx";
import { type ContextLength, textAround, windowAround } from "@/lib/activations.ts";
import { formatActivation } from "@/lib/format.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import css from "./Examples.module.css";

interface Props {
  readonly activation: Activation;
  readonly most: number;
  readonly context: ContextLength;
  readonly breaks: boolean;
  readonly attributionMost: number;
  readonly onValue: (value: number | null) => void;
  readonly onTry: (text: string) => void;
}

export const ExampleRow = memo(function ExampleRow({ activation, most, context, breaks, attributionMost, onValue, onTry }: Props) {
  const [isOpen, setOpen] = useState(false);
  const { tokens, values, maxValueTokenIndex: at } = activation;
  const text = {
    tokens,
    values,
    most,
    breaks: breaks || isOpen,
    onValue,
    attribution: attributionMost > 0 && activation.dfaValues.length > 0 ? activation.dfaValues : undefined,
    attributionMost,
  };
  const [from, to] = windowAround(at, tokens.length, isOpen ? "full" : context);
  const isStacked = context === "stacked" && !isOpen;
  const toggle = () => {
    // Selecting text is no click.
    if (window.getSelection()?.isCollapsed !== false) setOpen(!isOpen);
  };
  return (
    <li className={css.example}>
      <button
        type="button"
        className={css.strongest}
        aria-expanded={isOpen}
        aria-label={`${tokenAlone(tokens[at] ?? "")}, ${formatActivation(activation.maxValue)}: ${isOpen ? "show less" : "show the whole text"}`}
        onClick={() => setOpen(!isOpen)}
      >
        <span className={css.value}>{formatActivation(activation.maxValue)}</span>
        <span className={css.maxToken}>{tokenAlone(tokens[at] ?? "")}</span>
      </button>
      <div className={isStacked ? css.stacked : isOpen || context === "full" ? css.whole : css.snippet} onClick={toggle}>
        {isStacked ? (
          <>
            <span className={css.before}>
              <TokenText {...text} from={from} to={at} />
            </span>
            <TokenText {...text} from={at} to={at + 1} anchor={at} />
            <span className={css.after}>
              <TokenText {...text} from={at + 1} to={to} />
            </span>
          </>
        ) : (
          <TokenText {...text} from={from} to={to} anchor={at} />
        )}
        {isOpen && <Values activation={activation} />}
      </div>
      <button
        type="button"
        className={`icon-button ${css.try}`}
        aria-label="Try this text in the test"
        title="Try this text in the test"
        onClick={() => onTry(textAround(activation))}
      >
        <FlaskConical size={14} aria-hidden />
      </button>
    </li>
  );
});

/** The values without the pointer: every token on which the feature fires. */
function Values({ activation: { tokens, values } }: { readonly activation: Activation }) {
  const fired = values.flatMap((value, at) => ((value ?? 0) > 0 ? [{ at, value, token: tokens[at] ?? "" }] : []));
  return (
    <ul className={css.values} aria-label="Tokens on which it fires">
      {fired.slice(0, 40).map(({ at, value, token }) => (
        <li key={at}>
          <span className="mono">{tokenAlone(token)}</span> {formatActivation(value)}
        </li>
      ))}
    </ul>
  );
}
