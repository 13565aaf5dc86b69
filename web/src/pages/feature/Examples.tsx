/**
 * The texts on which a feature fires: the strongest, then samples from each quantile interval, all on
 * one scale of colour. Repeats are folded; how much text is shown is the reader's choice.
 */
import { memo, useDeferredValue, useMemo, useState } from "react";
import type { FeatureRecord } from "@/api/feature.ts";
import { useUrlState } from "@/app/urlState.ts";
import { Segments } from "@/components/Segments.tsx";
import { Empty } from "@/components/Status.tsx";
import { byInterval, CONTEXTS, type ContextLength, type Interval, largest } from "@/lib/activations.ts";
import { formatActivation, plural } from "@/lib/format.ts";
import { ExampleRow } from "./ExampleRow.tsx";
import css from "./Examples.module.css";

interface Props {
  readonly record: FeatureRecord;
  readonly most: number;
  readonly onValue: (value: number | null) => void;
  readonly onTry: (text: string) => void;
  /** Whether choices go to the page's address; in a dialog they do not. */
  readonly isInUrl: boolean;
}

export const Examples = memo(function Examples({ record, most, onValue, onTry, isInUrl }: Props) {
  const [context, setContext] = useChoice("context", "snippet", isInUrl);
  const [breaks, setBreaks] = useChoice("breaks", "", isInUrl);
  const [withAttribution, setWithAttribution] = useState(true);
  const length = context in CONTEXTS ? (context as ContextLength) : "snippet";
  const intervals = useMemo(() => byInterval(record.activations), [record]);
  // The strongest are drawn at once; the intervals follow when the page can already be used.
  const strongest = useMemo(() => intervals.slice(0, 1), [intervals]);
  const drawn = useDeferredValue(intervals, strongest);
  const attributionMost = largest(record.activations.map((activation) => activation.dfaMaxValue ?? 0));
  return (
    <section className="panel" aria-labelledby="examples">
      <div className="panel-head">
        <h2 id="examples">Top activations</h2>
        <div className="row">
          {attributionMost > 0 && (
            <label className={css.check}>
              <input type="checkbox" checked={withAttribution} onChange={(event) => setWithAttribution(event.target.checked)} /> Attribution
            </label>
          )}
          <label className={css.check}>
            <input type="checkbox" checked={breaks !== ""} onChange={(event) => setBreaks(event.target.checked ? "1" : "")} /> Line breaks
          </label>
          <Segments
            name="Context"
            value={length}
            options={[
              ["stacked", "Stacked"],
              ["snippet", "Snippet"],
              ["full", "Full"],
            ]}
            onChange={setContext}
          />
        </div>
      </div>
      {record.activations.length === 0 && <Empty title="No text is known on which it fires" />}
      {drawn.map((interval) => (
        <Group
          key={interval.key}
          interval={interval}
          rowProps={{
            most,
            context: length,
            breaks: breaks !== "",
            attributionMost: withAttribution ? attributionMost : 0,
            onValue,
            onTry,
          }}
        />
      ))}
      {intervals.length > 0 && (
        <p className={css.scale}>
          <span className={css.ramp} aria-hidden /> one scale for all texts, from 0 to {formatActivation(most)}
        </p>
      )}
    </section>
  );
});

type RowProps = Omit<React.ComponentProps<typeof ExampleRow>, "activation">;

function Group({ interval, rowProps }: { readonly interval: Interval; readonly rowProps: RowProps }) {
  const [isUnfolded, setUnfolded] = useState(false);
  const { bounds, share, examples } = interval;
  const repeats = examples.reduce((sum, { duplicates }) => sum + duplicates.length, 0);
  return (
    <div className={css.group}>
      {(bounds !== null || repeats > 0) && (
        <div className={css.groupHead}>
          {bounds !== null && (
            <h3>
              {formatActivation(bounds[0])} to {formatActivation(bounds[1])}
              {share !== null && <span className="muted"> {(share * 100).toFixed(1)}% of firings</span>}
            </h3>
          )}
          {repeats > 0 && (
            <button type="button" className="button small quiet" aria-expanded={isUnfolded} onClick={() => setUnfolded(!isUnfolded)}>
              {isUnfolded ? "Fold" : "Show"} {plural(repeats, "repeat")}
            </button>
          )}
        </div>
      )}
      <ul>
        {examples.flatMap(({ activation, duplicates }) =>
          [activation, ...(isUnfolded ? duplicates : [])].map((one) => <ExampleRow key={one.id} activation={one} {...rowProps} />),
        )}
      </ul>
    </div>
  );
}

/** A choice that is kept in the page's address, or in the component alone. */
function useChoice(name: string, otherwise: string, isInUrl: boolean): [string, (value: string) => void] {
  const [parameters, change] = useUrlState();
  const [own, setOwn] = useState(otherwise);
  if (!isInUrl) return [own, setOwn];
  return [parameters.get(name) ?? otherwise, (value) => change({ [name]: value === otherwise ? null : value })];
}
