/**
 * How the features of a source are spread: by density, on a logarithmic scale, and by their largest
 * activation.
 */
import { useQuery } from "@tanstack/react-query";
import type { Source } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { Histogram } from "@/components/Histogram.tsx";
import { DENSITIES, type DistributionRow, LARGEST, MAXIMA } from "@/queries/features.ts";
import css from "./Distributions.module.css";

const BARS = 36;
const DECADE = 0.2;

export function Distributions({ source: { model_id: model, source_id: source } }: { readonly source: Source }) {
  const { data } = useQuery({
    queryKey: ["distributions", model, source],
    queryFn: async ({ signal }) => {
      const [densities, largest] = await Promise.all([
        select(DENSITIES, [model, source], signal),
        select(LARGEST, [model, source], signal),
      ]);
      const width = Math.max(largest[0]?.most ?? 0, 1e-6) / BARS;
      const maxima = await select(MAXIMA, [model, source, width], signal);
      return { densities: evenly(densities, DECADE), maxima: evenly(maxima, width) };
    },
  });
  if (data === undefined) return <div className={css.place} />;
  return (
    <div className={`${css.place} ${css.pair}`}>
      <Histogram title="Density" unit="features" tone="plain" {...data.densities} format={(value) => `${shortPercent(10 ** value)}`} />
      <Histogram title="Largest activation" unit="features" tone="attribution" {...data.maxima} />
    </div>
  );
}

/** Bars without gaps: buckets that hold nothing are not in the answer. */
function evenly(rows: readonly DistributionRow[], width: number): { middles: number[]; heights: number[] } {
  const first = rows[0]?.bucket;
  const last = rows.at(-1)?.bucket;
  if (first === undefined || last === undefined) return { middles: [], heights: [] };
  const bars = Math.round((last - first) / width) + 1;
  const heights = Array.from({ length: bars }, () => 0);
  for (const { bucket, features } of rows) heights[Math.round((bucket - first) / width)] = features;
  return { middles: heights.map((_, at) => first + (at + 0.5) * width), heights };
}

function shortPercent(share: number): string {
  const percent = share * 100;
  return `${percent >= 1 ? percent.toFixed(0) : percent.toPrecision(1)}%`;
}
