/**
 * A lens' grid. A cell's strength is the probability of its likeliest token; resting on it, or moving the
 * focus to it, shows the next ones.
 */
import { useState } from "react";
import { formatProbability } from "@/lib/format.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import type { LensRow } from "@/queries/lens.ts";
import css from "./LensPage.module.css";
import type { LensGrid } from "./lensGrid.ts";

export function Grid({ grid, isOld = false }: { readonly grid: LensGrid; readonly isOld?: boolean }) {
  const [at, setAt] = useState<readonly [layer: number, position: number] | null>(null);
  const cell = at === null ? undefined : grid.cells.get(`${at[0]}/${at[1]}`);
  return (
    <div className={css.result} aria-busy={isOld}>
      <div className={css.scroll} tabIndex={0} role="region" aria-label="Layers by tokens">
        <table className={css.grid}>
          <caption className="visually-hidden">The likeliest next token, by layer and token</caption>
          <tbody>
            {grid.layers.map((layer) => (
              <tr key={layer}>
                <th scope="row">{layer}</th>
                {grid.tokens.map((_, position) => {
                  const guesses = grid.cells.get(`${layer}/${position}`) ?? [];
                  const best = guesses[0];
                  return (
                    <td key={position}>
                      <button
                        type="button"
                        className={(best?.probability ?? 0) > 0.55 ? css.sure : undefined}
                        style={{ "--a": best?.probability ?? 0 } as React.CSSProperties}
                        aria-label={`Layer ${layer}, after ${tokenAlone(grid.tokens[position] ?? "")}: ${tokenAlone(best?.next_token ?? "")}, ${formatProbability(best?.probability)}`}
                        onPointerEnter={() => setAt([layer, position])}
                        onFocus={() => setAt([layer, position])}
                      >
                        {tokenAlone(best?.next_token ?? "")}
                      </button>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <td className={css.corner}>layer</td>
              {grid.tokens.map((token, position) => (
                <th key={position} scope="col">
                  {tokenAlone(token)}
                </th>
              ))}
            </tr>
          </tfoot>
        </table>
      </div>
      <Guesses cell={cell} title={at === null ? null : `Layer ${at[0]}, after ${tokenAlone(grid.tokens[at[1]] ?? "")}`} />
    </div>
  );
}

function Guesses({ cell, title }: { readonly cell: readonly LensRow[] | undefined; readonly title: string | null }) {
  if (cell === undefined || title === null) return <p className={`muted ${css.guesses}`}>Rest on a cell to see what else was likely there.</p>;
  return (
    <div className={css.guesses}>
      <h2 className="label-text">{title}</h2>
      <ol>
        {cell.map((guess) => (
          <li key={guess.rank} style={{ "--a": guess.probability } as React.CSSProperties}>
            <span className="mono">{tokenAlone(guess.next_token)}</span>
            <span>{formatProbability(guess.probability)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
