/**
 * A text that a model wrote, token by token: resting on one shows its probability and what else was
 * likely there.
 */
import { type PointerEvent, useState } from "react";
import type { TokenLogprob } from "@/api/steer.ts";
import { formatProbability } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import css from "./GeneratedText.module.css";

interface Props {
  readonly prompt?: string;
  readonly text: string;
  readonly logprobs: readonly TokenLogprob[];
  readonly isGrowing: boolean;
}

const LONGEST = 100_000;

export function GeneratedText({ prompt = "", text, logprobs, isGrowing }: Props) {
  const [hovered, setHovered] = useState<{ at: number; left: number; top: number } | null>(null);
  // Tokens that are parts of a character do not add up to the text; it is shown whole then.
  const isWhole = logprobs.length > 0 && logprobs.map(({ token }) => token).join("") === text;
  const over = (event: PointerEvent) => {
    const token = (event.target as HTMLElement).closest<HTMLElement>("[data-at]");
    if (token === null) {
      setHovered(null);
      return;
    }
    const box = token.getBoundingClientRect();
    setHovered({ at: Number(token.dataset.at), left: Math.min(box.left, window.innerWidth - 230), top: box.bottom + 6 });
  };
  const token = hovered === null ? undefined : logprobs[hovered.at];
  return (
    <div className={css.text} onPointerOver={over} onPointerLeave={() => setHovered(null)}>
      <span className="muted">{inert(prompt, LONGEST).replaceAll("\u240a", "\n")}</span>
      {isWhole
        ? logprobs.map((each, at) => (
            <span key={at} data-at={at} className={css.token} style={{ "--p": each.logprob === null ? 1 : Math.exp(each.logprob) } as React.CSSProperties}>
              {inert(each.token)}
            </span>
          ))
        : inert(text, LONGEST)}
      {isGrowing && <span className={css.caret} aria-hidden />}
      {token !== undefined && hovered !== null && (
        <table className={css.likely} style={{ left: hovered.left, top: hovered.top }}>
          <caption className="visually-hidden">What was likely here</caption>
          <tbody>
            {token.topLogprobs.map((other, at) => (
              <tr key={at} className={other.token === token.token ? css.taken : undefined}>
                <td>{tokenAlone(other.token)}</td>
                <td className="number">{formatProbability(Math.exp(other.logprob))}</td>
              </tr>
            ))}
            {!token.topLogprobs.some((other) => other.token === token.token) && token.logprob !== null && (
              <tr className={css.taken}>
                <td>{tokenAlone(token.token)}</td>
                <td className="number">{formatProbability(Math.exp(token.logprob))}</td>
              </tr>
            )}
          </tbody>
        </table>
      )}
    </div>
  );
}
