/**
 * One route: what it takes, what it answers, and a form to try it with.
 */
import { useMutation } from "@tanstack/react-query";
import { Play } from "lucide-react";
import { useState } from "react";
import { exampleOf, type OpenApi, resolved, type Schema } from "@/api/openapi.ts";
import { send } from "@/api/http.ts";
import { CodeBlock } from "@/components/Copy.tsx";
import { ErrorNote } from "@/components/Status.tsx";
import { formatSeconds } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import type { Route } from "./ApiReferencePage.tsx";
import css from "./ApiReferencePage.module.css";

const LONGEST = 20_000;

export function OperationView({ document, route }: { readonly document: OpenApi; readonly route: Route }) {
  const { operation, method, path } = route;
  const json = operation.requestBody?.content?.["application/json"];
  const example = exampleOf(document, json);
  const [body, setBody] = useState(example === undefined ? "" : JSON.stringify(example, null, 2));
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries((operation.parameters ?? []).map((parameter) => [parameter.name, String(parameter.example ?? parameter.schema?.example ?? "")])),
  );
  const run = useMutation({ mutationFn: () => tried(route, values, body) });
  return (
    <article className={css.operation}>
      <h2>
        <span className={css.method}>{method}</span> <code>{path}</code>
      </h2>
      {operation.summary && <p>{operation.summary}</p>}
      {operation.description && <p className="muted">{operation.description}</p>}
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          run.mutate();
        }}
      >
        {(operation.parameters ?? []).map((parameter) => (
          <label key={parameter.name} className="field">
            <span>
              {parameter.name} <span className="muted">{parameter.in}</span>
            </span>
            <input className="input" required={parameter.required ?? false} value={values[parameter.name] ?? ""} placeholder={parameter.description ?? ""} onChange={(event) => setValues({ ...values, [parameter.name]: event.target.value })} />
          </label>
        ))}
        {json !== undefined && (
          <label className="field">
            <span>Body</span>
            <textarea className={`textarea mono ${css.body}`} spellCheck={false} value={body} onChange={(event) => setBody(event.target.value)} />
          </label>
        )}
        <div className="row">
          <button type="submit" className="button primary" disabled={run.isPending}>
            <Play size={13} aria-hidden /> Try
          </button>
          {run.data && (
            <span className="muted">
              {run.data.status}, {formatSeconds(run.data.milliseconds)}
            </span>
          )}
        </div>
      </form>
      {run.error !== null && <ErrorNote error={run.error} />}
      {run.data && <CodeBlock code={run.data.text} />}
      {json?.schema && (
        <section>
          <h3>Body</h3>
          <Fields document={document} schema={json.schema} depth={0} />
        </section>
      )}
      <section>
        <h3>Answers</h3>
        <dl className={css.answers}>
          {Object.entries(operation.responses ?? {}).map(([status, answer]) => (
            <div key={status}>
              <dt>{status}</dt>
              <dd>
                {answer.description}
                <Fields document={document} schema={Object.values(answer.content ?? {})[0]?.schema} depth={0} />
              </dd>
            </div>
          ))}
        </dl>
      </section>
    </article>
  );
}

const DEEPEST = 3;

function Fields({ document, schema, depth }: { readonly document: OpenApi; readonly schema: Schema | undefined; readonly depth: number }) {
  const known = resolved(document, schema);
  const inner = known?.items === undefined ? known : resolved(document, known.items);
  if (inner?.properties === undefined || depth > DEEPEST) return null;
  return (
    <ul className={css.fields}>
      {Object.entries(inner.properties).map(([name, property]) => (
        <li key={name}>
          <code>{name}</code> <span className="muted">{typeName(property)}</span> {inner.required?.includes(name) && <span className={css.required}>required</span>}
          {(property.description ?? resolved(document, property)?.description) && <p className="muted">{property.description ?? resolved(document, property)?.description}</p>}
          <Fields document={document} schema={property} depth={depth + 1} />
        </li>
      ))}
    </ul>
  );
}

function typeName(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split("/").at(-1) ?? "";
  const types = Array.isArray(schema.type) ? schema.type : [schema.type ?? (schema.oneOf || schema.anyOf ? "one of several" : "any")];
  const names = types.map((type) => (type === "array" && schema.items ? `list of ${typeName(schema.items)}` : String(type)));
  return names.join(" or ");
}

interface Tried {
  readonly status: number;
  readonly milliseconds: number;
  readonly text: string;
}

async function tried({ method, path, operation }: Route, values: Readonly<Record<string, string>>, body: string): Promise<Tried> {
  const started = performance.now();
  const filled = path.replaceAll(/\{\*?([^}]+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
  const asked = (operation.parameters ?? []).filter((parameter) => parameter.in === "query" && values[parameter.name]);
  const query = new URLSearchParams(asked.map((parameter) => [parameter.name, values[parameter.name] ?? ""]));
  const answer = await send(`${filled}${asked.length > 0 ? `?${query}` : ""}`, {
    method: method as "GET" | "POST" | "DELETE",
    ...(body.trim() === "" ? {} : { body: JSON.parse(body) as unknown }),
    accept: "application/json, text/event-stream;q=0.9, */*;q=0.8",
  });
  const text = await answer.text();
  return { status: answer.status, milliseconds: performance.now() - started, text: pretty(text) };
}

function pretty(text: string): string {
  const lines = (given: string) => inert(given, LONGEST).replaceAll("\u240a", "\n");
  try {
    return lines(JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    return lines(text);
  }
}
