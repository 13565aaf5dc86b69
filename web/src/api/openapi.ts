/**
 * The server's own description of its routes: `/openapi.json`, as far as the reference page reads it.
 */
import { sendJson } from "./http.ts";

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly example?: unknown;
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly format?: string;
}

interface Content {
  readonly schema?: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value?: unknown }>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly description?: string;
  readonly required?: boolean;
  readonly schema?: Schema;
  readonly example?: unknown;
}

export interface Operation {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly operationId?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content?: Readonly<Record<string, Content>> };
  readonly responses?: Readonly<Record<string, { readonly description?: string; readonly content?: Readonly<Record<string, Content>> }>>;
}

export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
}

export function getOpenApi(signal?: AbortSignal): Promise<OpenApi> {
  return sendJson<OpenApi>("/openapi.json", { signal });
}

/** The schema that a reference names, or the schema itself. */
export function resolved(document: OpenApi, schema: Schema | undefined): Schema | undefined {
  const name = schema?.$ref?.split("/").at(-1);
  return name === undefined ? schema : document.components?.schemas?.[name];
}

/** A body to begin with: the example that the document gives, or one made of the schema. */
export function exampleOf(document: OpenApi, content: Content | undefined): unknown {
  if (content === undefined) return undefined;
  if (content.example !== undefined) return content.example;
  const named = Object.values(content.examples ?? {})[0]?.value;
  return named ?? sample(document, content.schema, 0);
}

const DEEPEST = 6;

function sample(document: OpenApi, given: Schema | undefined, depth: number): unknown {
  const schema = resolved(document, given);
  if (schema === undefined || depth > DEEPEST) return null;
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.[0] !== undefined) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) return sample(document, choices[0], depth + 1);
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((part) => sample(document, part, depth + 1)));
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (schema.properties !== undefined) {
    const needed = Object.entries(schema.properties).filter(([name]) => schema.required?.includes(name) ?? true);
    return Object.fromEntries(needed.map(([name, property]) => [name, sample(document, property, depth + 1)]));
  }
  if (type === "array") return [sample(document, schema.items, depth + 1)];
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return false;
  return type === "string" ? "" : {};
}
