/**
 * A fresh database for the tests: what `make demo` makes, and what `database.sql` adds.
 *
 * LATENTDB_DEMO names a database that `make demo` has made, which is copied; without it one is made,
 * from fewer texts, since a debug binary takes its time.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const repository = fileURLToPath(new URL("../../..", import.meta.url));
const demo = join(repository, "datasets/demo");
/** The demo's model has no chat template: it answers in this one as well as it can. */
const TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

/** Where embeddings come from: the folder of LATENTDB_MINILM, or an address that leads nowhere, so that nothing is fetched. */
export function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LATENTDB_EMBEDDING_MODEL: process.env.LATENTDB_MINILM ?? "http://127.0.0.1:9/v1#none" };
}

export function binary(): string {
  const path = process.env.LATENTDB_BIN;
  if (!path) throw new Error("LATENTDB_BIN is not set: name the latentdb binary that the app is tested against");
  return path;
}

export async function freshDatabase(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latentdb-web-"));
  const data = join(folder, "data");
  const latentdb = (...commands: string[]) => run(binary(), ["--data", data, ...commands], { maxBuffer: 1 << 26, env: environment() });
  const made = process.env.LATENTDB_DEMO;
  if (made) {
    await cp(made, data, { recursive: true });
    await Promise.all(["LOCK", "OWNER"].map((name) => rm(join(data, name), { force: true })));
  } else {
    await makeDemo(latentdb);
  }
  await addChatModel(latentdb, join(folder, "docs-chat"));
  await latentdb("eval", "docs-3m", "3-res,3-tc", join(demo, "texts.parquet"), "--n-prompts", "16");
  await latentdb("sql", "-f", fileURLToPath(new URL("./database.sql", import.meta.url)));
  if (process.env.LATENTDB_MINILM) await latentdb("sql", "CALL embed_explanations()");
  return data;
}

/** The demo's model once more, with a chat template. */
async function addChatModel(latentdb: (...commands: string[]) => Promise<unknown>, folder: string): Promise<void> {
  await cp(join(demo, "model"), folder, { recursive: true });
  await writeFile(join(folder, "chat_template.jinja"), TEMPLATE);
  await latentdb("model", "add", "docs-chat", folder);
  await latentdb("source", "add", "docs-chat/3-res", join(demo, "sources", "3-res"));
}

async function makeDemo(latentdb: (...commands: string[]) => Promise<unknown>): Promise<void> {
  for (const name of ["export", "export-db"]) {
    await latentdb("import", "neuronpedia", join(repository, "datasets/sample", name), "--replace");
  }
  await latentdb("model", "add", "docs-3m", join(demo, "model"));
  await latentdb("model", "lens", "docs-3m", join(demo, "lens.safetensors"));
  for (const source of await readdir(join(demo, "sources"), { withFileTypes: true })) {
    if (source.isDirectory()) await latentdb("source", "add", `docs-3m/${source.name}`, join(demo, "sources", source.name));
  }
  await latentdb("generate", "docs-3m", "3-res,3-tc", join(demo, "texts.parquet"), "--n-prompts", "192");
  await latentdb("layout", "docs-3m", "3-res");
}
