/**
 * What a feature is called: its best explanation, or, where nobody has explained it, the tokens that it
 * promotes most; and how often and how strongly it fires.
 */
import type { FeatureRecord } from "@/api/feature.ts";
import { TokenChips } from "@/components/TokenChips.tsx";
import { formatActivation, formatDensity } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import css from "./Headline.module.css";

export function Headline({ record, isSmall }: { readonly record: FeatureRecord; readonly isSmall: boolean }) {
  const label = record.explanations[0]?.description ?? record.vectorLabel;
  const Title = isSmall ? "h2" : "h1";
  return (
    <header className={isSmall ? css.small : css.headline}>
      <Title className="label-text">
        {label ? (
          inert(label, 400)
        ) : (
          <>
            <span className={css.unnamed}>promotes</span> <TokenChips tokens={record.pos_str.slice(0, 4)} />
          </>
        )}
      </Title>
      <dl className={css.facts}>
        <Fact name="fires on" value={formatDensity(record.frac_nonzero)} after="of tokens" />
        <Fact name="largest activation" value={formatActivation(record.maxActApprox)} />
        {record.hookName && <Fact name="at" value={inert(record.hookName, 80)} />}
      </dl>
    </header>
  );
}

function Fact({ name, value, after }: { readonly name: string; readonly value: string; readonly after?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {after && <span> {after}</span>}
      </dd>
    </div>
  );
}
