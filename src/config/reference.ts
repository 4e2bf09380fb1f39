/**
 * The reference pages, generated from the schemas.
 *
 *     node src/config/reference.ts            writes docs/reference/
 *     node src/config/reference.ts --check    exits with 1 where a page isn't what it would write
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { z } from "zod";
import type { ConnectionType, SinkType, SourceType } from "../component.ts";
import { sinkTypes, sourceTypes } from "../components.ts";
import { duration, object, rate, share, size } from "./fields.ts";
import { DEFAULT_PATHS, NAMED_SECTIONS } from "./files.ts";
import { policyFields } from "./policy.ts";
import {
  anyTargetSchema,
  type Components,
  connectionField,
  connectionTypeOf,
  connectionTypes,
  fileSchema,
  retentionSchema,
  routeSchema,
  sinkFieldsOf,
  sourceFields,
} from "./schema.ts";
import { settingOptions, settingsFields } from "./settings.ts";
import { alternatives, choicesOf, expects, type Field, fieldOf, orList, shapeOf } from "./walk.ts";

const FOLDER = resolve(import.meta.dirname, "../../docs/reference");
const NOTE = "<!-- Generated from the schemas by `npm run reference`; don't edit. -->";

/** Each page's name and text. */
export function referencePages(components: Components): Map<string, string> {
  const connections = connectionTypes(components);
  return new Map([
    ["file.md", filePage(components)],
    ["settings.md", settingsPage()],
    ...(connections.length > 0 ? [["connections.md", connectionsPage(connections)] as const] : []),
    ["sources.md", sourcesPage(components.sources)],
    ["sinks.md", sinksPage(components.sinks)],
    ["routes.md", routesPage(components.sinks)],
  ]);
}

// -------------------------------------------------------------------------------------------------------------- pages

function filePage(components: Components): string {
  const pages = Object.fromEntries(NAMED_SECTIONS.map((section) => [section, `${section}.md`]));
  const rows = shapeOf(fileSchema(components)).map(([key, schema]) => {
    const link = pages[key] ?? `settings.md#${key}`;
    return `| [\`${key}\`](${link}) | ${cell(sentence(fieldOf(schema).description))} |`;
  });
  const units = [duration(), size(), rate(), share()].map((schema) => {
    const { expects = "", examples = [] } = fieldOf(schema).flags;
    return `${expects} is written as ${orList(examples.map((example) => `\`${example}\``))}`;
  });
  return page("The file", [
    `One or more YAML 1.2 files, given as files or folders (\`*.yaml\`, \`*.yml\`); without any, ${orList(
      DEFAULT_PATHS.map((path) => `\`${path}\``),
    )}. Names of ${NAMED_SECTIONS.slice(0, -1).join(", ")} and ${NAMED_SECTIONS.at(-1)} are unique across files; any other section stands in one of them.`,
    `| section | |\n| --- | --- |\n${rows.join("\n")}`,
    "Keys at the top that begin with `x-` are free, for anchors.",
    `${sentence(units.join("; "))} Names have lower-case letters, digits, \`_\` and \`-\`.`,
    [
      `\`\${VAR}\`, \`\${VAR:-default}\` and \`\${file:/path}\` (a relative path counts from the file's folder) may stand`,
      "in any string but an expression (`match`, `where`, `transform`, `id`, `event_type`, `key`);",
      `\`$\${\` is a literal \`\${\`. They are filled in after the YAML is parsed.`,
    ].join(" "),
  ]);
}

function settingsPage(): string {
  const sections = Object.entries(settingsFields).map(([name, schema]) => {
    return `## ${name}\n\n${sentence(fieldOf(schema).description)}\n\n${fieldTables(schema, [], `${name}.`)}`;
  });
  const rows = settingOptions.map(({ path, variable, argument }) => {
    return `| \`${path.join(".")}\` | \`${variable}\` | \`--${argument}\` |`;
  });
  return page("Settings", [
    "The daemon's own settings. A variable of the environment goes over the file, an argument over both.",
    ...sections,
    `## retention\n\n${sentence(fieldOf(retentionSchema).description)}\n\n${fieldTables(retentionSchema, [], "retention.")}`,
    `## Variables and arguments\n\n| setting | variable | argument |\n| --- | --- | --- |\n${rows.join("\n")}`,
  ]);
}

function connectionsPage(types: readonly ConnectionType[]): string {
  return page("Connections", [
    "A broker that several sources and sinks share, named once. A connection's name is its key under `connections`;" +
      " a source or sink of its type that names it by `connection:` has its fields, and those that stand there too win." +
      " Each has a client of its own.",
    ...types.map((type) => `## ${type.type}\n\n${sentence(type.description)}\n\n${fieldTables(type.schema)}`),
  ]);
}

/** `connection` as a field of its own, where there is a type of it. */
function connectionRow(type: SourceType | SinkType): [string, z.core.$ZodType][] {
  const connection = connectionTypeOf(type);
  return connection === null ? [] : [["connection", connectionField(connection)]];
}

function sourcesPage(types: readonly SourceType[]): string {
  return page("Sources", [
    "Where events come from. A source's name is its key under `sources`; `type` tells its kind.",
    `## Every source\n\n${fieldTables(object(sourceFields))}`,
    ...types.map((type) => {
      const tables = fieldTables(type.schema, [], "", connectionRow(type));
      return `## ${type.type}\n\n${sentence(type.description)}\n\n${tables}`;
    }),
  ]);
}

function sinksPage(types: readonly SinkType[]): string {
  return page("Sinks", [
    "Where events go. A sink's name is its key under `sinks`; `type` tells its kind. A **pushed** sink owes every event" +
      " a delivery; a **stream** owes its readers everything from where they left off.",
    `## Every pushed sink\n\n${fieldTables(object(policyFields))}`,
    ...types.map((type) => {
      // What every pushed sink has is told once, but for a default of its own.
      const own = type.kind === "pushed" && type.concurrency !== undefined ? ["concurrency"] : [];
      const policy = new Set(Object.keys(policyFields).filter((key) => !own.includes(key)));
      const extra = Object.entries(sinkFieldsOf(type)).filter(([key]) => !policy.has(key));
      const templates = type.templates.map((key) => `\`${key}\``).join(", ");
      const may = templates === "" ? "" : `May stand in a route's \`to\` instead: ${templates}.\n\n`;
      const tables = fieldTables(type.schema, extra, "", connectionRow(type));
      return `## ${type.type}\n\nA ${type.kind === "pushed" ? "pushed sink" : "stream"}. ${sentence(type.description)}\n\n${may}${tables}`;
    }),
  ]);
}

function routesPage(sinks: readonly SinkType[]): string {
  return page("Routes", [
    "Which events go where. A route's name is its key under `routes`.",
    `## A route\n\n${fieldTables(routeSchema)}`,
    `## A target in to\n\nA sink's name, or a map of these; those that the sink's type has.\n\n${fieldTables(anyTargetSchema(sinks))}`,
  ]);
}

function page(title: string, parts: readonly string[]): string {
  return `${NOTE}\n\n# ${title}\n\n${parts.join("\n\n")}\n`;
}

// ------------------------------------------------------------------------------------------------------------- tables

interface Table {
  readonly title: string | null;
  readonly rows: string[];
}

/** One table for a map's fields, nested maps in it by dotted names; one more for each kind that a field chooses among. */
function fieldTables(
  schema: z.core.$ZodType,
  extra: readonly (readonly [string, z.core.$ZodType])[] = [],
  prefix = "",
  before: readonly (readonly [string, z.core.$ZodType])[] = [],
): string {
  const tables: Table[] = [{ title: null, rows: [] }];
  addRows(tables, 0, prefix, [...before, ...shapeOf(schema), ...extra]);
  return tables
    .map(({ title, rows }) => {
      const table = ["| field | takes | default | |", "| --- | --- | --- | --- |", ...rows].join("\n");
      if (title === null) return table;
      return rows.length === 0 ? `### ${title}\n\nNo further fields.` : `### ${title}\n\n${table}`;
    })
    .join("\n\n");
}

function addRows(
  tables: Table[],
  at: number,
  prefix: string,
  fields: readonly (readonly [string, z.core.$ZodType])[],
): void {
  for (const [key, schema] of fields) {
    const field = fieldOf(schema);
    const name = `${prefix}${key}`;
    const choices = choicesOf(field);
    tables[at]?.rows.push(row(name, field));
    if (choices) {
      for (const [type, option] of choices) {
        const inner = shapeOf(option.schema);
        const told = inner.find(([name]) => name === "type")?.[1];
        const description = told && fieldOf(told).description;
        tables.push({
          title: `\`${name}: { type: ${type} }\`${description ? `\n\n${sentence(description)}` : ""}`,
          rows: [],
        });
        addRows(
          tables,
          tables.length - 1,
          `${name}.`,
          inner.filter(([key]) => key !== "type"),
        );
      }
      continue;
    }
    const maps = alternatives(field).filter((option) => shapeOf(option.schema).length > 0);
    if (maps[0]) addRows(tables, at, `${name}.`, shapeOf(maps[0].schema));
  }
}

function row(name: string, field: Field): string {
  const isMap = typeof field.fallback === "object" && !Array.isArray(field.fallback);
  const fallback = field.fallback === undefined || isMap ? "" : `\`${written(field.fallback)}\``;
  const needed = field.optional ? fallback : "**required**";
  const examples = field.flags.examples?.map((example) => `\`${example}\``).join(", ");
  const takes = examples ? `${expects(field)}: ${examples}` : expects(field);
  return `| \`${name}\` | ${cell(takes)} | ${cell(needed)} | ${cell(sentence(field.description))} |`;
}

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

/** Descriptions come with and without a capital and a full stop; one that explains a word (`key: …`) keeps it as it is. */
export function sentence(description: string | null): string {
  if (!description) return "";
  const text = /^\w+:/.test(description)
    ? description
    : description.charAt(0).toUpperCase() + description.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

// ------------------------------------------------------------------------------------------------------- command line

/** The names of the pages that aren't what they should be. */
function stale(pages: ReadonlyMap<string, string>): string[] {
  const wrong = [...pages].filter(([name, text]) => {
    const file = join(FOLDER, name);
    return !existsSync(file) || readFileSync(file, "utf8") !== text;
  });
  const strangers = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => !pages.has(name)) : [];
  return [...wrong.map(([name]) => name), ...strangers];
}

if (import.meta.main) {
  const pages = referencePages({ sources: sourceTypes, sinks: sinkTypes });
  if (process.argv.includes("--check")) {
    const names = stale(pages);
    if (names.length > 0) {
      process.stderr.write(
        `docs/reference: ${names.join(", ")} differ from the schemas; run npm run reference\n`,
      );
      process.exitCode = 1;
    }
  } else {
    mkdirSync(FOLDER, { recursive: true });
    for (const [name, text] of pages) writeFileSync(join(FOLDER, name), text);
  }
}
