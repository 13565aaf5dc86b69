/**
 * Code that readers take along from a feature's page: SQL, Python, a shell command, an iframe. Names
 * come from outside and are quoted for the language they stand in.
 */
import type { SourceRow } from "@/queries/registry.ts";
import { type FeatureAddress, featurePath, formatAddress } from "./address.ts";

export interface Snippet {
  readonly name: string;
  readonly code: string;
  /** Whether the SQL page can run it. */
  readonly isSql?: boolean;
}

export function featureSnippets(address: FeatureAddress, source: SourceRow | undefined, origin: string): Snippet[] {
  const { model, source: id, index } = address;
  const where = `model_id = ${sqlText(model)} AND source_id = ${sqlText(id)} AND index = ${index}`;
  const whole = sqlText(formatAddress(address));
  return [
    {
      name: "SQL",
      isSql: true,
      code: `SELECT rank, max_value, array_to_string(tokens, '') AS text\nFROM activation_records\nWHERE ${where}\nORDER BY rank LIMIT 20;`,
    },
    {
      name: "Test in SQL",
      isSql: true,
      code: `SELECT position, token, value\nFROM activate_feature(${whole}, 'The iterator returns None');`,
    },
    { name: "Neighbours", isSql: true, code: `SELECT * FROM similar_features(${whole}, k => 10);` },
    { name: "Load", code: loadingCode(model, id, index, source) },
    { name: "JSON", code: `curl -s ${shellText(`${origin}/api/feature${featurePath(address)}`)}` },
  ];
}

/** How the weights are loaded: with SAELens where they are published there, or from their folder. */
function loadingCode(model: string, id: string, index: number, source: SourceRow | undefined): string {
  if (source?.saelens_release && source.saelens_id) {
    return `from sae_lens import SAE\n\nsae = SAE.from_pretrained(\n    release=${pythonText(source.saelens_release)},\n    sae_id=${pythonText(source.saelens_id)},\n)\ndirection = sae.W_dec[${index}]`;
  }
  if (source?.weights_uri) {
    return `from sae_lens import SAE\n\nsae = SAE.load_from_disk(${pythonText(source.weights_uri)})\ndirection = sae.W_dec[${index}]`;
  }
  return `import requests\n\nfeature = requests.get(\n    ${pythonText(`http://localhost:3000/api/feature${featurePath({ model, source: id, index })}`)}\n).json()\nprint(feature["pos_str"], feature["maxActApprox"])`;
}

export function iframeCode(url: string): string {
  return `<iframe src="${url.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}" width="540" height="300" title="A feature in LatentDB"></iframe>`;
}

export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function pythonText(text: string): string {
  return JSON.stringify(text);
}

function shellText(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
