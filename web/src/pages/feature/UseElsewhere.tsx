/**
 * Taking a feature along: code for SQL, Python and the shell, and an embed with the parts one wants.
 */
import { useState } from "react";
import { Link } from "react-router";
import { findSource, useRegistry } from "@/api/registry.ts";
import { CodeBlock } from "@/components/Copy.tsx";
import { Segments } from "@/components/Segments.tsx";
import { type FeatureAddress, featurePath } from "@/lib/address.ts";
import { formatCount } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { featureSnippets, iframeCode } from "@/lib/snippets.ts";
import { ALL_PARTS, type EmbedParts, embedQuery } from "./embedParts.ts";
import css from "./UseElsewhere.module.css";

export function UseElsewhere({ address }: { readonly address: FeatureAddress }) {
  const { data: registry } = useRegistry();
  const source = findSource(registry, address.model, address.source);
  const snippets = featureSnippets(address, source, window.location.origin);
  const [name, setName] = useState("SQL");
  const snippet = snippets.find((each) => each.name === name);
  return (
    <section className="panel" aria-labelledby="elsewhere">
      <div className="panel-head">
        <h2 id="elsewhere">Use elsewhere</h2>
      </div>
      <div className={css.body}>
        {source !== undefined && (
          <dl className={css.facts}>
            <Fact name="Architecture" value={source.architecture} />
            <Fact name="Features" value={source.d_sae === null ? null : formatCount(source.d_sae)} />
            <Fact name="Reads" value={source.hook_point} />
            <Fact name="Corpus" value={corpus(source.dataset, source.n_prompts, source.tokens_per_prompt)} />
          </dl>
        )}
        <div className={css.tabs}>
          <Segments name="Snippet" value={name} options={[...snippets.map((each) => [each.name, each.name] as const), ["Embed", "Embed"]]} onChange={setName} />
        </div>
        {snippet === undefined ? (
          <EmbedBuilder address={address} />
        ) : (
          <CodeBlock code={snippet.code}>
            {snippet.isSql && (
              <Link className="button quiet small" to={`/sql?${new URLSearchParams({ q: snippet.code })}`}>
                Open in SQL
              </Link>
            )}
          </CodeBlock>
        )}
      </div>
    </section>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string | null }) {
  if (value === null || value === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd className="label-text">{inert(value, 120)}</dd>
    </div>
  );
}

function corpus(dataset: string | null, prompts: number | null, tokens: number | null): string | null {
  const size = prompts === null ? null : `${formatCount(prompts)} prompts${tokens === null ? "" : ` of ${tokens} tokens`}`;
  return [dataset, size].filter(Boolean).join(", ") || null;
}

const PART_NAMES: ReadonlyArray<readonly [keyof EmbedParts, string]> = [
  ["explanation", "Explanation"],
  ["plots", "Plots"],
  ["test", "Test"],
  ["testfield", "Test field"],
  ["activations", "Activations"],
  ["steer", "Steer"],
  ["link", "Link"],
];

function EmbedBuilder({ address }: { readonly address: FeatureAddress }) {
  const [parts, setParts] = useState(ALL_PARTS);
  const [text, setText] = useState("");
  const url = `${window.location.origin}${featurePath(address)}?${embedQuery(parts, text)}`;
  return (
    <div className="stack">
      <fieldset className={css.parts}>
        <legend className="visually-hidden">Parts to embed</legend>
        {PART_NAMES.map(([part, name]) => (
          <label key={part}>
            <input type="checkbox" checked={parts[part]} onChange={(event) => setParts({ ...parts, [part]: event.target.checked })} /> {name}
          </label>
        ))}
      </fieldset>
      <input className="input" aria-label="Text tested in the embed" placeholder="A text to test" value={text} onChange={(event) => setText(event.target.value)} />
      <CodeBlock code={iframeCode(url)}>
        <a className="button quiet small" href={url} target="_blank" rel="noopener">
          Preview
        </a>
      </CodeBlock>
    </div>
  );
}
