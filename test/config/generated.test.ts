import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { sinkTypes, sourceTypes } from "../../src/components.ts";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { referencePages } from "../../src/config/reference.ts";
import { settingOptions } from "../../src/config/settings.ts";

const COMPONENTS = { sources: sourceTypes, sinks: sinkTypes };
const FOLDER = resolve(import.meta.dirname, "../../docs/reference");

test("the reference pages are what the schemas say (npm run reference writes them)", () => {
  const pages = referencePages(COMPONENTS);
  assert.deepEqual(readdirSync(FOLDER).toSorted(), [...pages.keys()].toSorted());
  for (const [name, text] of pages) assert.equal(readFileSync(join(FOLDER, name), "utf8"), text, name);
});

test("the reference names every type and every setting", () => {
  const pages = referencePages(COMPONENTS);
  for (const { type } of sourceTypes)
    assert.match(pages.get("sources.md") ?? "", new RegExp(`^## ${type}$`, "m"));
  for (const { type } of sinkTypes)
    assert.match(pages.get("sinks.md") ?? "", new RegExp(`^## ${type}$`, "m"));
  for (const { path, variable } of settingOptions) {
    assert.ok(pages.get("settings.md")?.includes(`| \`${path.join(".")}\` | \`${variable}\` |`), variable);
  }
});

test("variables and arguments have names of their own", () => {
  for (const names of [
    settingOptions.map((one) => one.variable),
    settingOptions.map((one) => one.argument),
  ]) {
    assert.equal(new Set(names).size, names.length);
  }
  assert.ok(settingOptions.some(({ variable }) => variable === "LEAT_ADMIN_TOKEN"));
});

interface Schema {
  readonly [key: string]: unknown;
  readonly properties?: Record<string, Schema>;
  readonly additionalProperties?: Schema | false;
  readonly oneOf?: Schema[];
  readonly anyOf?: Schema[];
}

test("the JSON Schema knows every section and type, lets variables stand, and leaves x- keys free", () => {
  const schema = jsonSchema(COMPONENTS) as unknown as Schema;
  assert.equal(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
  assert.equal(schema.additionalProperties, false);
  assert.deepEqual(schema.patternProperties, { "^x-": {} });
  assert.equal(schema.required, undefined);
  const sinks = schema.properties?.sinks?.additionalProperties as Schema;
  const types = sinks.oneOf?.map((option) => option.properties?.type?.const);
  assert.deepEqual(
    types,
    sinkTypes.map(({ type }) => type),
  );
  const timeout = sinks.oneOf?.[0]?.properties?.timeout;
  assert.equal(timeout?.default, "10s");
  const wanted = timeout?.anyOf?.map((option) => new RegExp(String(option.pattern)));
  assert.ok(wanted?.some((pattern) => pattern.test("5s")));
  assert.ok(wanted?.some((pattern) => pattern.test(`\${TIMEOUT}`)));
  assert.ok(!wanted?.some((pattern) => pattern.test("5 s")));
});
