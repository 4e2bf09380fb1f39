/** Whole configurations: as text with slips, as structures that mean something or nothing, with any environment. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { stringify } from "yaml";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { formatProblem, type LoadResult } from "../../src/config/load.ts";
import { settingOptions } from "../../src/config/settings.ts";
import { type Property, property, type Within } from "./property.ts";
import { anyText, longText, slips, soup } from "./texts.ts";

const EXAMPLES = resolve(import.meta.dirname, "../../config");
const examples = readdirSync(EXAMPLES)
  .map((name) => join(EXAMPLES, name))
  .filter((path) => statSync(path).isFile())
  .map((path) => readFileSync(path, "utf8"));

const SECRET = "s3cret-value-of-a-variable";
const ENV = {
  STRIPE_WEBHOOK_SECRET: `whsec_${SECRET}`,
  BILLING_SECRET: SECRET,
  READER_TOKEN: SECRET,
  GITHUB_WEBHOOK_SECRET: SECRET,
};

const words = (text: string) => text.trim().split(/\s+/);
const YAML = [
  "\n",
  "\n  ",
  "\n    ",
  ": ",
  " ",
  "- ",
  ...words(`sources sinks routes server journal retention type path verify secret url from to where match transform in
    webhook sse none github { } [ ] , & * <<: | > ? ! !!str !!binary # --- ... % @ \` " ' \\ null ~ true 5s 1MiB 0x1F .inf
    &a *a { } \${BILLING_SECRET} \${NOT_SET:-1} \${file:/etc/hostname} x-free: leat "{{ id }}" {{ id }} __proto__ constructor`),
];

const text = fc.oneof(slips(examples, YAML), soup(YAML, 40), longText);

/** Structures that look like a configuration, with all kinds of things in their places. */
const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    "5s",
    "1MiB",
    "10%",
    "http://127.0.0.1:1/x",
    "/in",
    "body.n > 1",
    "{{ body.n }}",
    "in",
    "out",
    "live",
    "webhook",
    "sse",
    "none",
    true,
    1,
    0,
    null,
    [],
  ),
  fc.jsonValue({ maxDepth: 2 }),
  anyText,
);
const KEYS =
  words(`type path verify secret url from to where match transform retry backlog concurrency rate channel channels
  origins auth token sink as was start order on_dead timeout key id dedupe history age size initial x-free __proto__`);
const part = fc.dictionary(fc.constantFrom(...KEYS), value, { maxKeys: 5 });
const source = fc.oneof(
  part.map((more) => ({ type: "webhook", path: "/in", verify: { type: "none" }, ...more })),
  value,
);
const sink = fc.oneof(
  part.map((more) => ({ type: "webhook", url: "http://127.0.0.1:1/", ...more })),
  part.map((more) => ({ type: "sse", path: "/events", auth: { type: "none" }, ...more })),
  value,
);
const route = fc.oneof(
  part.map((more) => ({ from: "in", to: "out", ...more })),
  value,
);
const structure = fc.record(
  {
    sources: fc.dictionary(fc.constantFrom("in", "b", "Not a name"), source, { maxKeys: 2 }),
    sinks: fc.dictionary(fc.constantFrom("out", "live", "in"), sink, { maxKeys: 2 }),
    routes: fc.dictionary(fc.constantFrom("all", "few"), route, { maxKeys: 2 }),
    retention: fc.oneof(part, value),
    server: fc.oneof(fc.dictionary(fc.constantFrom("listen", "admin", "admin_token"), value), value),
    limits: fc.oneof(fc.dictionary(fc.constantFrom("event", "headers", "id"), value), value),
  },
  { requiredKeys: [] },
);

const env = fc.dictionary(
  fc.constantFrom(...settingOptions.map((option) => option.variable)),
  fc.oneof(value.map(asArgument), anyText),
  { maxKeys: 4 },
);
/** A map without a prototype has no text of its own. */
function asArgument(written: unknown): string {
  return typeof written === "object" ? JSON.stringify(written) : String(written);
}

const args = fc.array(
  fc
    .tuple(
      fc.constantFrom(...settingOptions.map((option) => option.argument)),
      fc.oneof(value.map(asArgument), anyText),
    )
    .map(([arg, written]) => `--${arg}=${written}`),
  { maxLength: 4 },
);

/** A folder of its own for each property, gone afterwards. */
function onDisk<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  holds: (input: T, read: Read, within: Within) => void,
): Property {
  return {
    name,
    async check(runs, seed) {
      const folder = mkdtempSync(join(tmpdir(), "leat-fuzz-"));
      const file = join(folder, "leat.yaml");
      const read: Read = (written, options = {}) => {
        writeFileSync(file, written);
        return readConfiguration([file], { env: ENV, ...options });
      };
      try {
        return await property(name, inputs, (input, within) => holds(input, read, within)).check(runs, seed);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  };
}

type Read = (written: string, options?: { env?: Record<string, string>; args?: string[] }) => LoadResult;

/** It is fine, or each problem says where and what, and tells no secret. */
function checkResult(result: LoadResult, written: string): void {
  const lines = written.split("\n").length;
  const problems = result.ok ? result.warnings : result.problems;
  if (!result.ok) assert.ok(problems.length > 0);
  for (const problem of problems) {
    assert.ok(problem.message !== "");
    assert.ok(problem.line >= 0 && problem.line <= lines + 1, formatProblem(problem));
    assert.ok(!formatProblem(problem).includes(SECRET), "a problem tells a secret");
  }
}

export const configuration = [
  onDisk("a file with slips is taken, or each problem has its place", text, (written, read, within) => {
    checkResult(
      within(() => read(written)),
      written,
    );
  }),

  onDisk(
    "a structure is taken, or each problem has its place; written as YAML or as JSON it is the same",
    structure,
    (meant, read, within) => {
      const json = JSON.stringify(meant);
      const asJson = within(() => read(json));
      checkResult(asJson, json);
      const yaml = stringify(JSON.parse(json), { aliasDuplicateObjects: false });
      const asYaml = within(() => read(yaml));
      checkResult(asYaml, yaml);
      assert.equal(asYaml.ok, asJson.ok);
      if (asJson.ok || asYaml.ok) return;
      const said = ({ problems }: typeof asJson) => problems.map(({ message }) => message).toSorted();
      assert.deepEqual(said(asYaml), said(asJson));
    },
  ),

  onDisk(
    "any environment and any arguments are taken, or said to be wrong",
    fc.tuple(env, args),
    ([variables, given], read, within) => {
      const written = examples[0] ?? "";
      checkResult(
        within(() => read(written, { env: { ...ENV, ...variables }, args: given })),
        written,
      );
    },
  ),
];
