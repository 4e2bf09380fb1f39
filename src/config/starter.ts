/** The commented file that `leat init` writes: what is needed to run, and every other field as a comment. */
import type { z } from "zod";
import { sinkTypes, sourceTypes } from "../components.ts";
import { sentence } from "./reference.ts";
import { componentSchema, connectionTypes, retentionSchema, routeSchema } from "./schema.ts";
import { settingsFields } from "./settings.ts";
import { alternatives, choicesOf, expects, type Field, fieldOf, orList, shapeOf } from "./walk.ts";

/** What the starter sets; everything else is the schema's default, shown as a comment. */
type Given = Readonly<Record<string, string>>;

const WIDTH = 100;

/** `secret` is a Standard Webhooks secret, made for this file. */
export function starter(secret: string): string {
  return [
    ...comment(
      "Leat's configuration. Take one # off to change a field: it stands at its default, or at an example.",
      "",
    ),
    ...comment("leat validate checks it; leat schema prints its JSON Schema, for editors.", ""),
    "",
    ...comment("Where events come from, by name.", ""),
    "sources:",
    "  hooks:",
    ...component(source("webhook"), {
      type: "webhook",
      path: "/webhooks/hooks",
      verify: `{ type: standard, secret: "${secret}" }`,
    }),
    "",
    ...comment("Where events go, by name.", ""),
    "sinks:",
    "  terminal:",
    ...component(sink("stdout"), { type: "stdout" }),
    "  browser:",
    ...component(sink("sse"), { type: "sse", path: "/events", auth: "{ type: none }" }),
    "",
    ...comment("Which events go where, by name.", ""),
    "routes:",
    "  all:",
    ...fields(routeSchema, { from: "hooks", to: "[terminal, browser]" }, "    "),
    "",
    ...connections(),
    ...Object.entries({ ...settingsFields, retention: retentionSchema }).flatMap(([name, schema]) =>
      section(name, schema),
    ),
  ].join("\n");
}

/** Brokers, wholly commented out: of each type what it can't do without. */
function connections(): string[] {
  const types = connectionTypes({ sources: sourceTypes, sinks: sinkTypes });
  const names = types.map(({ type }) => type);
  const told = `Brokers, by name. Sources and sinks of type ${orList(names)} have the fields of the one that they name by connection:.`;
  const lines = types.map(({ type, schema }) => {
    const needed = shapeOf(schema).map(([key, field]): [string, Field] => [key, fieldOf(field)]);
    const given = needed
      .filter(([, { optional }]) => !optional)
      .map(([key, field]) => `, ${key}: ${sample(field)}`);
    return `#   ${type}: { type: ${type}${given.join("")} }`;
  });
  return [...comment(told, ""), "# connections:", ...lines, ""];
}

function source(type: string): z.ZodType {
  return componentSchema(sourceTypes.find((one) => one.type === type) as (typeof sourceTypes)[number]);
}

function sink(type: string): z.ZodType {
  return componentSchema(sinkTypes.find((one) => one.type === type) as (typeof sinkTypes)[number]);
}

function component(schema: z.ZodType, given: Given): string[] {
  return fields(schema, given, "    ");
}

/** A section of settings, wholly commented out. */
function section(name: string, schema: z.core.$ZodType): string[] {
  const body = shapeOf(schema).flatMap(([key, field]) => commented(key, fieldOf(field), "  "));
  return [...comment(sentence(fieldOf(schema).description), ""), `# ${name}:`, ...body, ""];
}

/** A map's fields: first those that are given, then the others as comments. */
function fields(schema: z.core.$ZodType, given: Given, indent: string): string[] {
  const shape = shapeOf(schema);
  const set = Object.entries(given).flatMap(([key, value]) => {
    const field = shape.find(([name]) => name === key)?.[1];
    const choices = field && choicesOf(fieldOf(field));
    const open = choices ? ` One of: ${[...choices.keys()].join(", ")}.` : "";
    const told = sentence(field ? fieldOf(field).description : null);
    return [...comment(`${told}${open}`, indent), `${indent}${key}: ${value}`];
  });
  const rest = shape.filter(([key]) => !Object.hasOwn(given, key));
  return [...set, ...rest.flatMap(([key, field]) => commented(key, fieldOf(field), indent))];
}

/** A field as it would be written, commented out; a nested map on one line, since its fields have their own pages. */
function commented(key: string, field: Field, indent: string): string[] {
  return [...comment(sentence(field.description), indent), `${indent}# ${key}: ${sample(field)}`];
}

/** The default, or an example, or what it takes. */
function sample(field: Field): string {
  const inner = alternatives(field).find((option) => shapeOf(option.schema).length > 0);
  const choices = choicesOf(field);
  if (choices) return `{ type: ${[...choices.keys()].join(" | ")} }`;
  const { fallback, flags } = field;
  const isMap = typeof fallback === "object" && fallback !== null && !Array.isArray(fallback);
  if (fallback !== undefined && !isMap) return scalar(fallback);
  if (inner && (isMap || alternatives(field).length === 1)) {
    const parts = shapeOf(inner.schema).map(([key, schema]): [string, Field] => [key, fieldOf(schema)]);
    const shown = parts.filter(([, part]) => part.fallback !== undefined);
    return `{ ${(shown.length > 0 ? shown : parts).map(([key, part]) => `${key}: ${sample(part)}`).join(", ")} }`;
  }
  if (isMap) return JSON.stringify(fallback);
  return flags.examples?.[0] ?? `(${expects(field)})`;
}

function scalar(value: unknown): string {
  return typeof value === "string" && /^[\w./:%-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Text as comment lines of a readable width; `##`, since one `#` is for fields, to be taken off. */
function comment(text: string, indent: string): string[] {
  if (text === "") return [];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && indent.length + line.length + word.length + 4 > WIDTH) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${indent}## ${one}`);
}
