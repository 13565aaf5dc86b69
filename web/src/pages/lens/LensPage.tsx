/**
 * The logit lens: what each layer of a model would say next, at each token of a text.
 *
 * Columns are tokens, rows are layers with the last on top. A cell's strength is the probability of its
 * likeliest token; resting on it, or moving the focus to it, shows the next ones.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useRegistry, whyNotModel } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { ModelSelect, startModel } from "@/components/ScopePicker.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { formatProbability } from "@/lib/format.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import { TextForm } from "@/pages/search/TextForm.tsx";
import { LOGIT_LENS, type LensRow } from "@/queries/lens.ts";
import css from "./LensPage.module.css";
import { type LensGrid, lensGrid } from "./lensGrid.ts";

export default function LensPage() {
  useTitle("Logit lens");
  const [parameters, change] = useUrlState();
  const { data: registry, error } = useRegistry();
  const model = startModel(registry, parameters.get("model"));
  const text = parameters.get("q") ?? "";
  const whyNot = registry === undefined ? null : model === undefined ? "No model of this database can be run: add one under Data." : whyNotModel(registry, model.model_id);
  return (
    <div className="page">
      <header className={css.head}>
        <h1>Logit lens</h1>
        <p className="muted">What each layer would say next, were it the last.</p>
      </header>
      {error && <ErrorNote error={error} />}
      {registry !== undefined && (
        <TextForm label="Text" placeholder="A text to read through the layers" isDisabled={whyNot !== null} onSubmit={(next) => change({ q: next }, { replace: false })}>
          <ModelSelect registry={registry} mustRun value={model?.model_id ?? ""} onChange={(next) => change({ model: next })} />
        </TextForm>
      )}
      {whyNot !== null ? (
        <Reason>{whyNot}</Reason>
      ) : model === undefined || text === "" ? (
        <Empty title="Give it a text">
          <button type="button" className="button" onClick={() => change({ q: "The iterator returns None when it is" })}>
            The iterator returns None when it is
          </button>
        </Empty>
      ) : (
        <Result model={model.model_id} text={text} />
      )}
    </div>
  );
}

function Result({ model, text }: { readonly model: string; readonly text: string }) {
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["lens", model, text],
    queryFn: async ({ signal }) => lensGrid(await select(LOGIT_LENS, [model, text], signal)),
    placeholderData: keepPreviousData,
  });
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Skeleton lines={8} height={28} />;
  return <Grid grid={data} isOld={isFetching} />;
}

function Grid({ grid, isOld }: { readonly grid: LensGrid; readonly isOld: boolean }) {
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
