/**
 * Sources as dots: one metric against another, coloured by source set.
 */
import * as Plot from "@observablehq/plot";
import { useCallback } from "react";
import PlotFigure from "@/components/PlotFigure.tsx";
import { inert } from "@/lib/inert.ts";
import type { EvaluatedSource } from "./evaluatedSources.ts";

interface Props {
  readonly sources: readonly EvaluatedSource[];
  readonly x: string;
  readonly y: string;
  readonly isLog: boolean;
}

export default function EvalsPlot({ sources, x, y, isLog }: Props) {
  const options = useCallback(
    (width: number): Plot.PlotOptions => {
      const dots = sources.flatMap((source) => {
        const [across, up] = [source.values.get(x), source.values.get(y)];
        if (across === undefined || up === undefined || (isLog && across <= 0)) return [];
        return [{ across, up, set: inert(`${source.model} ${source.set}`, 60), name: inert(source.source, 60), layer: source.layer }];
      });
      return {
        height: Math.max(320, Math.min(440, width * 0.45)),
        marginLeft: 64,
        x: { label: x, type: isLog ? "log" : "linear", grid: true, nice: true },
        y: { label: y, grid: true, nice: true },
        color: { legend: true, scheme: "observable10" },
        marks: [
          Plot.dot(dots, { x: "across", y: "up", fill: "set", r: 5, fillOpacity: 0.85, channels: { source: "name", layer: "layer" }, tip: true }),
          Plot.text(dots, { x: "across", y: "up", text: "name", dy: -12, fill: "var(--text-3)" }),
        ],
      };
    },
    [sources, x, y, isLog],
  );
  return <PlotFigure label={`${y} over ${x} of ${sources.length} sources`} options={options} />;
}
