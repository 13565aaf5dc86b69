/**
 * A histogram from its bars' middles and heights. A line marks a value, such as that of the token under
 * the pointer; what the bar under the pointer holds is written above it.
 */
import { useState } from "react";
import { formatCount } from "@/lib/format.ts";
import css from "./Histogram.module.css";

interface Props {
  readonly title: string;
  readonly middles: readonly number[];
  readonly heights: readonly number[];
  /** What is counted: "tokens". */
  readonly unit: string;
  readonly tone: "attribution" | "signed" | "plain";
  readonly marker?: number | null;
  readonly format?: (value: number) => string;
}

export function Histogram({ title, middles, heights, unit, tone, marker = null, format = (value) => value.toFixed(2) }: Props) {
  const [hovered, setHovered] = useState<number | null>(null);
  const first = middles[0];
  const last = middles.at(-1);
  if (first === undefined || last === undefined) return null;
  const width = middles.length > 1 ? (last - first) / (middles.length - 1) : 1;
  const [low, high] = [first - width / 2, last + width / 2];
  const highest = Math.max(...heights, 1e-9);
  const place = marker === null ? null : Math.min(Math.max((marker - low) / (high - low), 0), 1);
  const zero = (0 - low) / (high - low);
  const bar = hovered === null ? null : { middle: middles[hovered] ?? 0, count: heights[hovered] ?? 0 };
  const total = heights.reduce((sum, height) => sum + height, 0);
  return (
    <figure className={css.figure}>
      <figcaption className={css.caption}>
        <span>{title}</span>
        <span className="muted">
          {bar === null
            ? marker !== null && place !== null && format(marker)
            : `${format(bar.middle - width / 2)} to ${format(bar.middle + width / 2)}: ${formatCount(bar.count)} ${unit}`}
        </span>
      </figcaption>
      <div className={css.plot} onPointerLeave={() => setHovered(null)}>
        <svg
          viewBox={`0 0 ${middles.length} 1`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`${title}: ${formatCount(total)} ${unit} from ${format(low)} to ${format(high)}`}
          onPointerMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const at = Math.floor(((event.clientX - box.left) / box.width) * middles.length);
            setHovered(Math.min(Math.max(at, 0), middles.length - 1));
          }}
        >
          {heights.map((height, at) => (
            <rect
              key={at}
              x={at + 0.08}
              width={0.84}
              y={1 - shown(height, highest)}
              height={shown(height, highest)}
              className={`${css[barTone(tone, middles[at] ?? 0)]} ${at === hovered ? css.hovered : ""}`}
            />
          ))}
        </svg>
        {tone === "signed" && zero > 0 && zero < 1 && <span className={css.zero} style={{ left: `${zero * 100}%` }} />}
        {place !== null && <span className={css.marker} style={{ left: `${place * 100}%` }} />}
      </div>
      <div className={css.axis}>
        <span>{format(low)}</span>
        <span>{format(high)}</span>
      </div>
    </figure>
  );
}

/** A bar that is not empty is at least seen. */
function shown(height: number, highest: number): number {
  return height > 0 ? Math.max(height / highest, 0.012) : 0;
}

function barTone(tone: Props["tone"], middle: number): string {
  if (tone !== "signed") return tone;
  return middle < 0 ? "negative" : "positive";
}
