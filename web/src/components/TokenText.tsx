/**
 * A text in tokens, coloured by how strongly a feature is active on each.
 *
 * All texts that stand together share a scale (`most`), so that a weak response looks weak. Runs of
 * silent tokens become one piece of text: a page of examples stays light. Where direct feature
 * attribution is known it is the upper half of a token's colour, in orange.
 */
import { memo, type PointerEvent, useState } from "react";
import { activationAlpha } from "@/lib/colour.ts";
import { formatExact } from "@/lib/format.ts";
import type { Numbers } from "@/lib/numbers.ts";
import { tokenAlone, tokenInText } from "@/lib/tokens.ts";
import css from "./TokenText.module.css";

/** From this opacity on, black text reads better than white on a dark page: 4.5 to 1 at least. */
const HOT = 0.58;

interface Props {
  readonly tokens: readonly string[];
  readonly values: Numbers;
  readonly most: number;
  /** First token shown, and the one after the last. */
  readonly from?: number;
  readonly to?: number;
  /** The token that is set off in bold. */
  readonly anchor?: number | null;
  readonly breaks?: boolean;
  readonly attribution?: Numbers | undefined;
  readonly attributionMost?: number;
  /** Called with the value of the token under the pointer. */
  readonly onValue?: ((value: number | null) => void) | undefined;
}

interface Piece {
  readonly at: number;
  readonly text: string;
  readonly value: number;
  readonly alpha: number;
  readonly attributionAlpha: number;
}

export const TokenText = memo(function TokenText(props: Props) {
  const { tokens, values, anchor = null, onValue } = props;
  const [hovered, setHovered] = useState<{ at: number; x: number; y: number } | null>(null);
  const pieces = cut(props);
  const enter = (event: PointerEvent<HTMLElement>) => {
    const span = (event.target as HTMLElement).closest<HTMLElement>("[data-at]");
    const at = span === null ? null : Number(span.dataset.at);
    if (span === null || at === null) {
      setHovered(null);
      onValue?.(null);
      return;
    }
    const box = span.getBoundingClientRect();
    setHovered({ at, x: box.left + box.width / 2, y: box.top });
    onValue?.(values[at] ?? null);
  };
  const leave = () => {
    setHovered(null);
    onValue?.(null);
  };
  return (
    <span className={css.text} dir="ltr" onPointerOver={enter} onPointerLeave={leave}>
      {pieces.map((piece) =>
        piece.alpha === 0 && piece.attributionAlpha === 0 && piece.at !== anchor ? (
          piece.text
        ) : (
          <span
            key={piece.at}
            data-at={piece.at}
            className={className(piece, piece.at === anchor)}
            style={{ "--a": piece.alpha, "--d": piece.attributionAlpha } as React.CSSProperties}
          >
            {piece.text}
          </span>
        ),
      )}
      {hovered !== null && (
        <span className={css.tip} role="tooltip" style={{ left: hovered.x, top: hovered.y }}>
          <b>{tokenAlone(tokens[hovered.at] ?? "")}</b>
          <span>{formatExact(values[hovered.at])}</span>
          {props.attribution && <span className={css.dfa}>DFA {formatExact(props.attribution[hovered.at])}</span>}
        </span>
      )}
    </span>
  );
});

function className(piece: Piece, isAnchor: boolean): string {
  const names = [css.token];
  if (piece.alpha > HOT) names.push(css.hot);
  if (isAnchor) names.push(css.anchor);
  if (piece.attributionAlpha > 0) names.push(css.attributed);
  return names.join(" ");
}

function cut({ tokens, values, most, from = 0, to = tokens.length, anchor, breaks = false, attribution, attributionMost = 0 }: Props): Piece[] {
  const pieces: Piece[] = [];
  let silent = "";
  const flush = (at: number) => {
    if (silent !== "") pieces.push({ at: -at - 1, text: silent, value: 0, alpha: 0, attributionAlpha: 0 });
    silent = "";
  };
  for (let at = Math.max(from, 0); at < Math.min(to, tokens.length); at += 1) {
    const text = tokenInText(tokens[at] ?? "", breaks);
    const value = values[at] ?? 0;
    const alpha = activationAlpha(value, most);
    const attributionAlpha = activationAlpha(attribution?.[at] ?? 0, attributionMost);
    if (alpha === 0 && attributionAlpha === 0 && at !== anchor) {
      silent += text;
    } else {
      flush(at);
      pieces.push({ at, text, value, alpha, attributionAlpha });
    }
  }
  flush(tokens.length);
  return pieces;
}
