/**
 * Which parts an embedded dashboard shows: Neuronpedia's flags `embedexplanation`, `embedplots`,
 * `embedtest`, `embedtestfield`, `embedactivations`, `embedsteer` and `embedlink`. Each part is there
 * unless its flag is `false`; steering only if its flag is `true`.
 */
export interface EmbedParts {
  readonly explanation: boolean;
  readonly plots: boolean;
  readonly test: boolean;
  readonly testfield: boolean;
  readonly activations: boolean;
  readonly steer: boolean;
  readonly link: boolean;
}

export const ALL_PARTS: EmbedParts = {
  explanation: true,
  plots: true,
  test: true,
  testfield: true,
  activations: true,
  steer: false,
  link: true,
};

const NAMES = Object.keys(ALL_PARTS) as (keyof EmbedParts)[];

export function embedParts(parameters: URLSearchParams): EmbedParts {
  const flags = NAMES.map((name) => {
    const value = parameters.get(`embed${name}`);
    return [name, value === null ? ALL_PARTS[name] : value === "true"] as const;
  });
  return Object.fromEntries(flags) as unknown as EmbedParts;
}

/** The parameters that ask for `parts`. */
export function embedQuery(parts: EmbedParts, testText: string): string {
  const query = new URLSearchParams({ embed: "true" });
  for (const name of NAMES) query.set(`embed${name}`, String(parts[name]));
  if (testText !== "") query.set("defaulttesttext", testText);
  return query.toString();
}
