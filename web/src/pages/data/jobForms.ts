/**
 * What can be added, which fields each needs, and the job that they make.
 */
import type { NewJob } from "@/api/jobs.ts";
import { sqlText } from "@/lib/snippets.ts";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly kind: "text" | "model" | "source" | "number" | "sql" | "check";
  readonly initial?: string;
  readonly isOptional?: boolean;
}

export interface Form {
  readonly name: string;
  readonly about: string;
  readonly action: string;
  readonly fields: readonly Field[];
  readonly job: (values: Readonly<Record<string, string>>) => NewJob;
}

const MODEL: Field = { name: "model", label: "Model", hint: "", kind: "model" };
const SOURCE: Field = { name: "source", label: "Source, or source set", hint: "3-res, or res for all of the set", kind: "source" };

const of = (values: Readonly<Record<string, string>>, name: string) => (values[name] ?? "").trim();

/** `, name => value` for each number that was given. */
function numbers(values: Readonly<Record<string, string>>, names: readonly string[]): string {
  return names
    .filter((name) => of(values, name) !== "")
    .map((name) => `, ${name} => ${Math.trunc(Number(of(values, name))) || 0}`)
    .join("");
}

export const FORMS = {
  import: {
    name: "Import an export",
    about: "Dashboards that Neuronpedia or SAEDashboard exported: a folder of this machine, or an address.",
    action: "Import",
    fields: [
      { name: "from", label: "Folder or address", hint: "/data/export, or https://…/v1/gpt2-small/10-res-jb", kind: "text" },
      { name: "replace", label: "Replace what is here of the same sources", hint: "", kind: "check" },
    ],
    job: (values) => ({ kind: "import", from: of(values, "from"), replace: values.replace === "1" }),
  },
  model: {
    name: "Add a model",
    about: "A language model in Hugging Face's files, so that texts can be run through it.",
    action: "Add the model",
    fields: [
      { name: "id", label: "Id", hint: "gpt2-small", kind: "text" },
      { name: "path", label: "Folder or hub", hint: "/models/gpt2, or hf:openai-community/gpt2", kind: "text" },
    ],
    job: (values) => ({ kind: "model", id: of(values, "id"), path: of(values, "path") }),
  },
  source: {
    name: "Add a source",
    about: "An SAE or transcoder in any published format, on a model that is here.",
    action: "Add the source",
    fields: [
      MODEL,
      { name: "id", label: "Id", hint: "10-res-jb: the layer, then the set", kind: "text" },
      { name: "path", label: "Folder or hub", hint: "/saes/10-res-jb, or hf:org/repo/folder", kind: "text" },
    ],
    job: (values) => ({ kind: "source", model: of(values, "model"), id: of(values, "id"), path: of(values, "path") }),
  },
  dashboards: {
    name: "Make dashboards",
    about: "How often and how strongly each feature fires, on which texts, and what it promotes, from a corpus.",
    action: "Make dashboards",
    fields: [
      MODEL,
      SOURCE,
      { name: "corpus", label: "Corpus: a statement whose first column has the texts", hint: "SELECT text FROM documents", kind: "sql" },
      { name: "n_prompts", label: "Prompts at most", hint: "24576", kind: "number", isOptional: true },
      { name: "context_length", label: "Tokens of a prompt", hint: "128", kind: "number", isOptional: true },
    ],
    job: (values) => ({
      kind: "statement",
      sql: `CALL generate_dashboards(${sqlText(of(values, "model"))}, ${sqlText(of(values, "source"))}, ${sqlText(of(values, "corpus"))}${numbers(values, ["n_prompts", "context_length"])})`,
    }),
  },
  layout: {
    name: "Make a map",
    about: "Places for the features of a source in the plane, near ones with similar directions.",
    action: "Make the map",
    fields: [MODEL, SOURCE],
    job: (values) => ({ kind: "statement", sql: `CALL layout_features(${sqlText(of(values, "model"))}, ${sqlText(of(values, "source"))})` }),
  },
  evals: {
    name: "Evaluate",
    about: "Sparsity, reconstruction, and what the model loses with it, over texts.",
    action: "Evaluate",
    fields: [MODEL, SOURCE, { name: "corpus", label: "Corpus: a statement whose first column has the texts", hint: "SELECT text FROM documents", kind: "sql" }],
    job: (values) => ({
      kind: "statement",
      sql: `CALL eval_source(${sqlText(of(values, "model"))}, ${sqlText(of(values, "source"))}, ${sqlText(of(values, "corpus"))})`,
    }),
  },
  index: {
    name: "Build an index",
    about: "Searches are right without an index, and faster with one.",
    action: "Build it",
    fields: [
      {
        name: "sql",
        label: "Statement",
        hint: "",
        kind: "sql",
        initial: "CREATE INDEX explanations_words ON explanations USING text (description)",
      },
    ],
    job: (values) => ({ kind: "statement", sql: of(values, "sql") }),
  },
} as const satisfies Readonly<Record<string, Form>>;

export type FormKind = keyof typeof FORMS;
