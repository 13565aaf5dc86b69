/**
 * The canvas of the map: points, zoom, the feature under the pointer, the lasso.
 *
 * Everything is drawn again from the rows and the current view; 100,000 points take a few milliseconds.
 */
import { polygonContains } from "d3-polygon";
import { quadtree } from "d3-quadtree";
import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomTransform } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { PEEK } from "@/components/FeatureLink.tsx";
import { useIsDark } from "@/app/theme.ts";
import { formatAddress } from "@/lib/address.ts";
import { formatDensity } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import type { MapRow } from "@/queries/features.ts";
import css from "./FeatureMap.module.css";
import { clusterColour, densityColour } from "./mapColours.ts";

interface Props {
  readonly rows: readonly MapRow[];
  /** The features that stand out; null is all. */
  readonly shown: ReadonlySet<number> | null;
  readonly colour: "cluster" | "density";
  readonly isLasso: boolean;
  readonly model: string;
  readonly source: string;
  readonly onChoose: (indices: ReadonlySet<number> | null) => void;
}

type Point = [number, number];

/** Pixels between the pointer and a point that still count as on it. */
const REACH = 14;
const MARGIN = 24;

export function MapCanvas({ rows, shown, colour, isLasso, model, source, onChoose }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [view, setView] = useState<ZoomTransform>(zoomIdentity);
  const [hovered, setHovered] = useState<MapRow | null>(null);
  const [lasso, setLasso] = useState<Point[]>([]);
  const [, setParameters] = useSearchParams();
  const isDark = useIsDark();
  const lassoMode = useRef(isLasso);
  lassoMode.current = isLasso;

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const places = useMemo(() => placed(rows, size), [rows, size]);
  const tree = useMemo(() => quadtree<number>(places.map((_, at) => at), (at) => places[at]?.[0] ?? 0, (at) => places[at]?.[1] ?? 0), [places]);

  useEffect(() => {
    const element = canvas.current;
    if (element === null || size.width === 0) return;
    const behaviour = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent([0.8, 60])
      .filter((event: MouseEvent) => event.type === "wheel" || (!event.shiftKey && !lassoMode.current && event.button === 0))
      .on("zoom", ({ transform }: { transform: ZoomTransform }) => setView(transform));
    select(element).call(behaviour).on("dblclick.zoom", null);
    return () => {
      select(element).on(".zoom", null);
    };
  }, [size]);

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || size.width === 0) return;
    const ratio = window.devicePixelRatio;
    element.width = size.width * ratio;
    element.height = size.height * ratio;
    context.scale(ratio, ratio);
    const radius = Math.min(2.4 * Math.sqrt(view.k), 7);
    const paint = (at: number, isLoud: boolean) => {
      const row = rows[at];
      const place = places[at];
      if (row === undefined || place === undefined) return;
      const [x, y] = view.apply(place);
      if (x < -9 || y < -9 || x > size.width + 9 || y > size.height + 9) return;
      context.globalAlpha = isLoud ? 0.85 : 0.12;
      context.fillStyle = colour === "cluster" ? clusterColour(row.umap_cluster, isDark) : densityColour(row.density, isDark);
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
    };
    for (let at = 0; at < rows.length; at += 1) if (shown !== null && !shown.has(rows[at]?.index ?? -1)) paint(at, false);
    for (let at = 0; at < rows.length; at += 1) if (shown === null || shown.has(rows[at]?.index ?? -1)) paint(at, true);
    context.globalAlpha = 1;
    context.strokeStyle = isDark ? "#ececee" : "#1b1c1e";
    context.lineWidth = 1.5;
    const at = hovered === null ? -1 : rows.indexOf(hovered);
    const place = places[at];
    if (place !== undefined) {
      const [x, y] = view.apply(place);
      context.beginPath();
      context.arc(x, y, radius + 3, 0, 7);
      context.stroke();
    }
    if (lasso.length > 1) {
      context.setLineDash([4, 4]);
      context.beginPath();
      for (const [x, y] of lasso) context.lineTo(x, y);
      context.closePath();
      context.stroke();
    }
  }, [rows, places, view, size, shown, colour, isDark, hovered, lasso]);

  const under = (event: React.PointerEvent): MapRow | null => {
    const [x, y] = view.invert(pointIn(event));
    const at = tree.find(x, y, REACH / view.k);
    return at === undefined ? null : (rows[at] ?? null);
  };
  const finishLasso = () => {
    if (lasso.length > 3) {
      const inside = rows.filter((_, at) => polygonContains(lasso, view.apply(places[at] ?? [0, 0])));
      onChoose(inside.length === 0 ? null : new Set(inside.map((row) => row.index)));
    }
    setLasso([]);
  };
  return (
    <>
      <canvas
        ref={canvas}
        className={css.canvas}
        role="img"
        aria-label={`Map of ${rows.length} features. The list beside it has the same features.`}
        data-lasso={isLasso}
        onPointerDown={(event) => {
          if (isLasso || event.shiftKey) {
            event.currentTarget.setPointerCapture(event.pointerId);
            setLasso([pointIn(event)]);
          }
        }}
        onPointerMove={(event) => {
          if (lasso.length > 0) setLasso([...lasso, pointIn(event)]);
          else setHovered(under(event));
        }}
        onPointerUp={finishLasso}
        onPointerLeave={() => setHovered(null)}
        onClick={() => {
          if (hovered === null || isLasso) return;
          const address = formatAddress({ model, source, index: hovered.index });
          setParameters((before) => new URLSearchParams([...before, [PEEK, address]]), { preventScrollReset: true });
        }}
      />
      <p className={css.under} aria-hidden>
        {hovered === null ? (
          "Scroll to zoom, drag to move, Shift and drag to draw around features"
        ) : (
          <>
            <b>{hovered.index}</b> {hovered.description ? inert(hovered.description, 120) : `promotes ${tokenAlone(hovered.promotes ?? "")}`}
            <span className="muted"> {formatDensity(hovered.density)}</span>
          </>
        )}
      </p>
    </>
  );
}

/** Where each feature stands on the unmoved canvas. */
function placed(rows: readonly MapRow[], { width, height }: { width: number; height: number }): Point[] {
  const across = (of: (row: MapRow) => number, span: [number, number]) => {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const row of rows) {
      low = Math.min(low, of(row));
      high = Math.max(high, of(row));
    }
    return scaleLinear([low, high], span);
  };
  const x = across((row) => row.umap_x, [MARGIN, width - MARGIN]);
  const y = across((row) => row.umap_y, [height - MARGIN, MARGIN]);
  return rows.map((row) => [x(row.umap_x), y(row.umap_y)]);
}

function pointIn(event: React.PointerEvent): Point {
  const box = event.currentTarget.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
