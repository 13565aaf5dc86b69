/**
 * Colours of the map: one of a dozen for a cluster, a ramp for densities.
 */
import { interpolateViridis, schemeTableau10 } from "d3-scale-chromatic";

/** What belongs to no cluster. */
const ALONE = { light: "#b9bac2", dark: "#4b4e59" };

export function clusterColour(cluster: number | null, isDark: boolean): string {
  if (cluster === null || cluster < 0) return isDark ? ALONE.dark : ALONE.light;
  return schemeTableau10[cluster % schemeTableau10.length] ?? ALONE.light;
}

/** From one in a hundred thousand to one in ten tokens. */
export function densityColour(density: number | null, isDark: boolean): string {
  if (density === null || density <= 0) return isDark ? ALONE.dark : ALONE.light;
  const share = (Math.log10(density) + 5) / 4;
  return interpolateViridis(Math.min(Math.max(isDark ? 0.15 + share * 0.85 : share * 0.9, 0), 1));
}
