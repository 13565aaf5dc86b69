/**
 * The tokens of a text as buttons, in sky blue by strength; those that are pressed are chosen.
 */
import { stripAlpha } from "@/lib/colour.ts";
import { tokenInText } from "@/lib/tokens.ts";
import css from "./SearchPage.module.css";

interface Props {
  readonly label: string;
  readonly tokens: readonly string[];
  /** Strength of each token's colour. */
  readonly values?: readonly number[];
  readonly chosen: readonly number[];
  readonly onChoose: (position: number) => void;
  readonly onHover?: (position: number | null) => void;
}

export function TokenStrip({ label, tokens, values = [], chosen, onChoose, onHover }: Props) {
  const most = Math.max(...values, 0);
  return (
    <div role="group" aria-label={label} className={css.strip} dir="ltr" onPointerLeave={() => onHover?.(null)}>
      {tokens.map((token, at) => (
        <button
          key={at}
          type="button"
          aria-pressed={chosen.includes(at)}
          style={{ "--a": stripAlpha(values[at] ?? 0, most) } as React.CSSProperties}
          onClick={() => onChoose(at)}
          onPointerEnter={() => onHover?.(at)}
          onFocus={() => onHover?.(at)}
        >
          {tokenInText(token, false)}
        </button>
      ))}
    </div>
  );
}
