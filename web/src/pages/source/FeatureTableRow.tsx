/**
 * One row of a source's table.
 */
import { memo } from "react";
import { FeatureLink } from "@/components/FeatureLink.tsx";
import { TokenChips } from "@/components/TokenChips.tsx";
import { TokenText } from "@/components/TokenText.tsx";
import { formatActivation, formatDensity, formatScore } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import type { FeatureRow, SnippetRow } from "@/queries/features.ts";
import css from "./FeatureTable.module.css";

/** Tokens shown before the strongest one, and from it on: as many as a row has room for. */
const BEFORE = 6;
const AFTER = 11;

interface Props {
  readonly row: FeatureRow;
  readonly model: string;
  readonly source: string;
  readonly snippet: SnippetRow | undefined;
  readonly densest: number;
  readonly position: number;
  readonly offset: number;
}

export const FeatureTableRow = memo(function FeatureTableRow({ row, model, source, snippet, densest, position, offset }: Props) {
  const share = densest > 0 ? Math.sqrt((row.density ?? 0) / densest) : 0;
  return (
    <div role="row" aria-rowindex={position} className={`${css.row} ${css.placed}`} style={{ transform: `translateY(${offset}px)` }}>
      <div role="cell" className={`${css.cell} number`}>
        <FeatureLink address={{ model, source, index: row.index }} className={css.index} opensPage>
          {row.index.toString()}
        </FeatureLink>
      </div>
      <div role="cell" className={`${css.cell} ${css.label}`}>
        {row.description ? <span className="label-text">{inert(row.description, 200)}</span> : <TokenChips tokens={row.promotes ?? []} />}
      </div>
      <div role="cell" className={`${css.cell} number ${css.density}`} style={{ "--share": share } as React.CSSProperties}>
        {row.density === 0 ? <span className="muted">dead</span> : formatDensity(row.density)}
      </div>
      <div role="cell" className={`${css.cell} number`}>
        {formatActivation(row.max_activation)}
      </div>
      <div role="cell" className={`${css.cell} number`}>
        {formatScore(row.score)}
      </div>
      <div role="cell" className={`${css.cell} ${css.example}`}>
        {snippet && <Example snippet={snippet} />}
      </div>
    </div>
  );
});

function Example({ snippet: { tokens, acts, max_value: most, max_position } }: { readonly snippet: SnippetRow }) {
  const at = max_position ?? 0;
  return <TokenText tokens={tokens} values={acts} most={most} from={at - BEFORE} to={at + AFTER} anchor={at} />;
}
