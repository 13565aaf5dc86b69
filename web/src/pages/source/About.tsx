/**
 * How a source was made: what it reads, how it was trained, what its dashboards were made from, and
 * every setting that changes its maths.
 */
import { useQuery } from "@tanstack/react-query";
import type { Source } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { CodeBlock } from "@/components/Copy.tsx";
import { formatCount } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { featureSnippets } from "@/lib/snippets.ts";
import { SOURCE_SETTINGS } from "@/queries/registry.ts";
import css from "./About.module.css";

export function About({ source }: { readonly source: Source }) {
  const { data } = useQuery({
    queryKey: ["settings", source.model_id, source.source_id],
    queryFn: ({ signal }) => select(SOURCE_SETTINGS, [source.model_id, source.source_id], signal),
  });
  const rows: ReadonlyArray<readonly [string, string | null]> = [
    ["Source set", source.set_id],
    ["Layer", source.layer?.toString() ?? null],
    ["Reads", source.hook_point],
    ["Architecture", source.architecture],
    ["Features", source.d_sae === null ? null : formatCount(source.d_sae)],
    ["Weights", source.weights_uri],
    ["SAELens", [source.saelens_release, source.saelens_id].filter(Boolean).join(" / ") || null],
    ["Hugging Face", [source.hf_repo, source.hf_folder].filter(Boolean).join("/") || null],
    ["Corpus", source.dataset],
    ["Prompts", source.n_prompts === null ? null : formatCount(source.n_prompts)],
    ["Tokens of a prompt", source.tokens_per_prompt?.toString() ?? null],
    ["Notes", source.notes],
  ];
  const load = featureSnippets({ model: source.model_id, source: source.source_id, index: 0 }, source, window.location.origin).find(({ name }) => name === "Load");
  const settings = pretty(data?.[0]?.settings);
  return (
    <div className={css.about}>
      <dl className={css.facts}>
        {rows
          .filter(([, value]) => value !== null && value !== "")
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd className="label-text">{inert(value)}</dd>
            </div>
          ))}
      </dl>
      <div className="stack">
        {load && (
          <>
            <h2>Load it</h2>
            <CodeBlock code={load.code} />
          </>
        )}
        {settings !== null && (
          <>
            <h2>Settings</h2>
            <CodeBlock code={settings} />
          </>
        )}
      </div>
    </div>
  );
}

/** JSON in lines, whether it came as text or as a value. */
function pretty(settings: unknown): string | null {
  if (settings === null || settings === undefined) return null;
  try {
    return inert(JSON.stringify(typeof settings === "string" ? JSON.parse(settings) : settings, null, 2), 20_000).replaceAll("\u240a", "\n");
  } catch {
    return inert(String(settings), 20_000);
  }
}
