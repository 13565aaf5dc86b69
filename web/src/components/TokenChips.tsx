/**
 * A few tokens side by side, each in a box that shows its blanks.
 */
import { tokenAlone } from "@/lib/tokens.ts";
import css from "./TokenChips.module.css";

interface Props {
  readonly tokens: readonly string[];
  readonly name?: string;
  readonly tone?: "positive" | "negative";
}

export function TokenChips({ tokens, name, tone = "positive" }: Props) {
  if (tokens.length === 0) return null;
  return (
    <span className={css.chips}>
      {name && <span className="muted">{name}</span>}
      {tokens.map((token, at) => (
        <span key={at} className={`${css.chip} ${css[tone]}`}>
          {tokenAlone(token)}
        </span>
      ))}
    </span>
  );
}
