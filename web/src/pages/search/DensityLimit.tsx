/**
 * The largest density of the features that a search by text shows. Features that fire nearly everywhere
 * fire most on any text, and say nothing about it: unless asked, they are left out.
 */
import { useUrlState } from "@/app/urlState.ts";

const CHOICES = [
  ["any", "Any density"],
  ["50", "Up to 50%"],
  ["10", "Up to 10%"],
  ["5", "Up to 5%"],
  ["1", "Up to 1%"],
  ["0.1", "Up to 0.1%"],
] as const;
const USUAL = "10";

export function DensityLimit() {
  const [parameters, change] = useUrlState();
  return (
    <label className="field">
      <span>Density</span>
      <select className="select" value={parameters.get("dmax") ?? USUAL} onChange={(event) => change({ dmax: event.target.value === USUAL ? null : event.target.value })}>
        {CHOICES.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The threshold as the endpoints take it: a share, or -1 for none. */
export function densityThreshold(parameters: URLSearchParams): number {
  const percent = Number(parameters.get("dmax") ?? USUAL);
  return Number.isFinite(percent) && percent > 0 ? percent / 100 : -1;
}
