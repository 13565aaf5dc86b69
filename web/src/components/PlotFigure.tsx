/**
 * A chart by Observable Plot, drawn anew when its options or the width of its place change.
 *
 * Plot would bring its rules as an inline sheet, which the content security policy forbids: they stand
 * in the app's own sheet instead.
 */
import * as Plot from "@observablehq/plot";
import { useEffect, useRef, useState } from "react";
import "@/design/plot.css";

interface Props {
  readonly label: string;
  /** The options for a width; keep it the same as long as the chart is. */
  readonly options: (width: number) => Plot.PlotOptions;
}

export default function PlotFigure({ label, options }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const element = place.current;
    if (element === null || width === 0) return;
    const chart = Plot.plot({
      style: { background: "transparent", fontFamily: "var(--sans)", fontSize: "12px" },
      ...options(width),
      width,
      className: "plot",
    });
    for (const sheet of chart.querySelectorAll("style")) sheet.remove();
    const picture = chart instanceof SVGElement ? chart : chart.querySelector(":scope > svg:last-of-type");
    picture?.setAttribute("role", "img");
    // The picture has one name; those of its parts are names of groups, which have no role.
    for (const part of picture?.querySelectorAll("[aria-label]") ?? []) part.removeAttribute("aria-label");
    picture?.setAttribute("aria-label", label);
    element.replaceChildren(chart);
    return () => chart.remove();
  }, [options, width, label]);
  return <div ref={place} />;
}
