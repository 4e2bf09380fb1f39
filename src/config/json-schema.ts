/** The JSON Schema of the whole file (draft 2020-12), for editors. */
import { z } from "zod";
import { type Components, fileSchema } from "./schema.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonMap = { [key: string]: Json };

/** A value that is filled in when the file is read may stand for anything. */
const FILLED_IN: JsonMap = { type: "string", pattern: "\\$\\{" };

export function jsonSchema(components: Components): JsonMap {
  const made = z.toJSONSchema(fileSchema(components), {
    io: "input",
    unrepresentable: "any",
  }) as unknown as JsonMap;
  const { $schema = null, ...schema } = withVariables(made) as JsonMap;
  return { $schema, title: "Leat's configuration", ...schema, patternProperties: { "^x-": {} } };
}

/** Lets `${…}` stand wherever text alone wouldn't already do. Keys and the words that tell kinds are left as they are. */
function withVariables(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withVariables);
  if (typeof schema !== "object" || schema === null) return schema;
  const inner: JsonMap = {};
  for (const [key, value] of Object.entries(schema)) {
    const isSchema = key === "additionalProperties" || key === "items";
    if (isSchema || key === "anyOf" || key === "oneOf") inner[key] = withVariables(value);
    else if (key === "properties") inner[key] = mapValues(value as JsonMap, withVariables);
    else inner[key] = value;
  }
  return isNarrow(inner) ? orFilledIn(inner) : inner;
}

function isNarrow(schema: JsonMap): boolean {
  const { type } = schema;
  if (type === "number" || type === "integer" || type === "boolean" || type === "array") return true;
  return type === "string" && ("pattern" in schema || "enum" in schema || "format" in schema);
}

function orFilledIn({ description, default: fallback, ...schema }: JsonMap): JsonMap {
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [schema, FILLED_IN],
  };
}

function mapValues(map: JsonMap, change: (value: Json) => Json): JsonMap {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}
