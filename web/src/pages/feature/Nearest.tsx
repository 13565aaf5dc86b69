/**
 * The features whose decoder directions are nearest, and the neurons and features that correlate most.
 */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { FeatureRecord } from "@/api/feature.ts";
import { select } from "@/api/sql.ts";
import { FeatureLink } from "@/components/FeatureLink.tsx";
import { Skeleton } from "@/components/Status.tsx";
import { TokenChips } from "@/components/TokenChips.tsx";
import type { FeatureAddress } from "@/lib/address.ts";
import { formatCosine } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import type { Numbers } from "@/lib/numbers.ts";
import { NEAREST, SUMMARIES, type SummaryRow } from "@/queries/features.ts";
import css from "./Nearest.module.css";

const SHOWN = 8;

interface Neighbour {
  readonly address: FeatureAddress;
  readonly cosine: number;
  readonly summary: SummaryRow | undefined;
}

export function Nearest({ address, record }: { readonly address: FeatureAddress; readonly record: FeatureRecord }) {
  const { model, source, index } = address;
  const { data } = useQuery({
    queryKey: ["nearest", model, source, index],
    queryFn: ({ signal }) => neighboursOf(address, signal),
  });
  const [isLong, setLong] = useState(false);
  if (data?.length === 0 && record.correlated_features_indices.length === 0 && record.neuron_alignment_indices.length === 0) return null;
  const shown = isLong ? data : data?.slice(0, SHOWN);
  return (
    <section className="panel" aria-labelledby="nearest">
      <div className="panel-head">
        <h2 id="nearest">Nearest features</h2>
        <span className="muted">cosine</span>
      </div>
      {shown === undefined ? (
        <div className="panel-body">
          <Skeleton lines={5} />
        </div>
      ) : (
        <ul className={css.list}>
          {shown.map((neighbour) => (
            <Row key={`${neighbour.address.source}/${neighbour.address.index}`} neighbour={neighbour} from={source} />
          ))}
        </ul>
      )}
      {data !== undefined && data.length > SHOWN && !isLong && (
        <button type="button" className={`button quiet small ${css.more}`} onClick={() => setLong(true)}>
          {data.length - SHOWN} more
        </button>
      )}
      <Correlated title="Correlated features" values={pairs(record.correlated_features_indices, record.correlated_features_pearson)}>
        {(at) => (
          <FeatureLink address={{ model, source, index: at }} className="mono link">
            {at.toString()}
          </FeatureLink>
        )}
      </Correlated>
      <Correlated title="Correlated neurons" values={pairs(record.correlated_neurons_indices, record.correlated_neurons_pearson)} />
      <Correlated title="Neuron alignment" values={pairs(record.neuron_alignment_indices, record.neuron_alignment_values)} />
    </section>
  );
}

function Row({ neighbour: { address, cosine, summary }, from }: { readonly neighbour: Neighbour; readonly from: string }) {
  return (
    <li>
      <span className={css.cosine}>{formatCosine(cosine)}</span>
      <FeatureLink address={address} className={css.name}>
        {summary?.description ? (
          <span className="label-text">{inert(summary.description, 128)}</span>
        ) : (
          <TokenChips tokens={(summary?.promotes ?? []).slice(0, 3)} />
        )}
        <span className={css.address}>
          {address.source === from ? "" : `${address.source}/`}
          {address.index}
        </span>
      </FeatureLink>
    </li>
  );
}

interface CorrelatedProps {
  readonly title: string;
  readonly values: ReadonlyArray<readonly [index: number, value: number]>;
  readonly children?: (index: number) => React.ReactNode;
}

function Correlated({ title, values, children }: CorrelatedProps) {
  if (values.length === 0) return null;
  return (
    <div className={css.correlated}>
      <h3>{title}</h3>
      <ul>
        {values.slice(0, 6).map(([index, value]) => (
          <li key={index}>
            {children ? children(index) : <span className="mono">{index}</span>} <span className="muted">{formatCosine(value)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function pairs(indices: readonly number[], values: Numbers): [number, number][] {
  return indices.map((index, at) => [index, values[at] ?? Number.NaN]);
}

/** The neighbours, each with its own source; what they are called is asked for source by source. */
async function neighboursOf({ model, source, index }: FeatureAddress, signal: AbortSignal): Promise<Neighbour[]> {
  const [row] = await select(NEAREST, [model, source, index], signal);
  if (!row?.nearest_indices) return [];
  const otherwise = row.nearest_source_id ?? source;
  const found = row.nearest_indices.map((near, at) => ({
    address: { model: row.nearest_model_id ?? model, source: row.nearest_sources?.[at] ?? otherwise, index: near },
    cosine: row.nearest_cosines?.[at] ?? Number.NaN,
  }));
  const sources = [...new Set(found.map(({ address }) => address.source))];
  const summaries = await Promise.all(
    sources.map((each) => {
      const wanted = found.filter(({ address }) => address.source === each).map(({ address }) => address.index);
      return select(SUMMARIES, [row.nearest_model_id ?? model, each, wanted], signal);
    }),
  );
  const known = new Map(summaries.flat().map((summary) => [`${summary.source_id}/${summary.index}`, summary]));
  return found
    .filter(({ address }) => address.source !== source || address.index !== index)
    .map((each) => ({ ...each, summary: known.get(`${each.address.source}/${each.address.index}`) }));
}
