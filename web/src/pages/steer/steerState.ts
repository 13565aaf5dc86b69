/**
 * What a steering page is set to, as it stands in its address.
 *
 * A feature is `model/source/index@2` (twice its largest activation) or `…@=40` (the number itself);
 * `:off` after it keeps it in the list without steering by it. A vector is `model/vectors/id@=1`.
 * Neuronpedia's `source`, `index` and `strength` are read too.
 */
import type { SteerMethod, SteerSettings } from "@/api/steer.ts";
import { type Changes, numberOf } from "@/app/urlState.ts";

export const VECTORS = "vectors";

export interface SteerItem {
  readonly source: string;
  /** A feature's number, or a vector's id. */
  readonly index: string;
  readonly strength: { readonly times: number } | { readonly exactly: number };
  readonly isOff: boolean;
}

export interface SteerState {
  readonly items: readonly SteerItem[];
  readonly settings: SteerSettings;
}

export const USUAL: SteerSettings = {
  temperature: 0.5,
  n_tokens: 48,
  freq_penalty: 0,
  seed: 16,
  strength_multiplier: 1,
  steer_method: "SIMPLE_ADDITIVE",
};

export const METHODS: ReadonlyArray<readonly [SteerMethod, string]> = [
  ["SIMPLE_ADDITIVE", "Add the direction"],
  ["ORTHOGONAL_DECOMP", "Replace the component along it"],
  ["PROJECTION_CAP", "Cap the component along it"],
];

/** A page's names for the settings. */
const NAMES: ReadonlyArray<readonly [keyof Omit<SteerSettings, "steer_method">, string]> = [
  ["temperature", "temperature"],
  ["n_tokens", "tokens"],
  ["freq_penalty", "penalty"],
  ["seed", "seed"],
  ["strength_multiplier", "multiplier"],
];

export function readSteerState(parameters: URLSearchParams): SteerState {
  const items = parameters.getAll("feature").flatMap(parseItem);
  const [source, index] = [parameters.get("source"), parameters.get("index")];
  if (items.length === 0 && source !== null && index !== null) {
    const strength = numberOf(parameters, "strength");
    items.push({ source, index, strength: strength === null ? { times: 2 } : { exactly: strength }, isOff: false });
  }
  const numbers = NAMES.map(([name, short]) => [name, numberOf(parameters, short) ?? USUAL[name]] as const);
  const method = METHODS.find(([each]) => each === parameters.get("method"))?.[0] ?? USUAL.steer_method;
  return { items, settings: { ...USUAL, ...Object.fromEntries(numbers), steer_method: method } };
}

/** The changes of the address that set a page to `state`. */
export function steerChanges(model: string, { items, settings }: SteerState): Changes {
  const named = NAMES.map(([name, short]) => [short, settings[name] === USUAL[name] ? null : settings[name].toString()] as const);
  return {
    ...Object.fromEntries(named),
    method: settings.steer_method === USUAL.steer_method ? null : settings.steer_method,
    feature: items.map((item) => formatItem(model, item)),
    source: null,
    index: null,
    strength: null,
  };
}

export function formatItem(model: string, { source, index, strength, isOff }: SteerItem): string {
  const amount = "times" in strength ? strength.times.toString() : `=${strength.exactly}`;
  return `${model}/${source}/${index}@${amount}${isOff ? ":off" : ""}`;
}

function parseItem(text: string): SteerItem[] {
  const match = /^(?:.*\/)?([^/]+)\/([^/@]+)@(=?)(-?[\d.]+(?:e-?\d+)?)(:off)?$/i.exec(text);
  const [, source, index, exactly, number, off] = match ?? [];
  const amount = Number(number);
  if (source === undefined || index === undefined || !Number.isFinite(amount)) return [];
  return [{ source, index, strength: exactly === "=" ? { exactly: amount } : { times: amount }, isOff: off !== undefined }];
}

/** A strength as the model takes it. */
export function strengthOf(item: SteerItem, most: number): number {
  return "times" in item.strength ? item.strength.times * most : item.strength.exactly;
}

/** A strength in multiples of the largest activation. */
export function timesOf(item: SteerItem, most: number): number {
  if ("times" in item.strength) return item.strength.times;
  return most > 0 ? Math.round((item.strength.exactly / most) * 100) / 100 : item.strength.exactly;
}
