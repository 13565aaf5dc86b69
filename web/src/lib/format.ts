/**
 * Numbers and sizes as the app writes them: activations and logits with two places, densities as per
 * cent with three, scores times a hundred. An unknown value is a dash.
 */
const DASH = "–";

export function formatActivation(value: number | null | undefined): string {
  return fixed(value, value !== null && value !== undefined && value !== 0 && Math.abs(value) < 0.005 ? 3 : 2);
}

/** An activation with the places that a tooltip has room for. */
export function formatExact(value: number | null | undefined): string {
  return fixed(value, 4);
}

export function formatLogit(value: number | null | undefined): string {
  return fixed(value, 2);
}

export function formatDensity(value: number | null | undefined): string {
  return known(value) ? `${(value * 100).toFixed(3)}%` : DASH;
}

export function formatScore(value: number | null | undefined): string {
  return known(value) ? Math.round(value * 100).toString() : DASH;
}

export function formatProbability(value: number | null | undefined): string {
  return fixed(value, 3);
}

export function formatCosine(value: number | null | undefined): string {
  return fixed(value, 3);
}

/** A whole number with thin groups: 24 576. */
export function formatCount(value: number | null | undefined): string {
  return known(value) ? Math.round(value).toLocaleString("en-US") : DASH;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

export function formatBytes(bytes: number | null | undefined): string {
  if (!known(bytes)) return DASH;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit] ?? ""}`;
}

export function formatSeconds(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function formatTime(iso: string | null | undefined): string {
  if (!iso) return DASH;
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return DASH;
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function fixed(value: number | null | undefined, places: number): string {
  return known(value) ? value.toFixed(places).replace(/^-(0\.0*)$/, "$1") : DASH;
}

function known(value: number | null | undefined): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}
