import assert from "node:assert/strict";
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { formatProblem, type LoadResult } from "../../src/config/load.ts";

const ROOT = resolve(import.meta.dirname, "../..");

function problemsOf(result: LoadResult): string[] {
  return (result.ok ? result.warnings : result.problems).map(formatProblem);
}

for (const name of readdirSync(join(ROOT, "config"))) {
  test(`the example ${name} has nothing wrong with it, and no warning`, () => {
    assert.deepEqual(problemsOf(readConfiguration([join(ROOT, "config", name)], { readEnv: false })), []);
  });
}

for (const name of globSync("examples/*/leat.yaml", { cwd: ROOT })) {
  test(`${name} has nothing wrong with it, and no warning`, () => {
    assert.deepEqual(problemsOf(readConfiguration([join(ROOT, name)], { readEnv: false })), []);
  });
}

test("the examples pass with variables too, where no secret file is needed", () => {
  const secret = `whsec_${Buffer.alloc(24, "k").toString("base64")}`;
  const env = {
    STRIPE_WEBHOOK_SECRET: secret,
    BILLING_SECRET: secret,
    READER_TOKEN: secret,
    GITHUB_WEBHOOK_SECRET: secret,
    DEVICE_KEY: secret,
    PARTNER_SECRET: secret,
  };
  const files = readdirSync(join(ROOT, "config")).map((name) => join(ROOT, "config", name));
  for (const file of files.filter((path) => statSync(path).isFile())) {
    assert.deepEqual(problemsOf(readConfiguration([file], { env })), [], file);
  }
});

/** Blocks of YAML are whole configurations; a fragment is fenced as `yml`. */
function yamlBlocks(page: string): string[] {
  return [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((block) => block[1] as string);
}

test("every YAML block in the README and the docs is a configuration without errors", () => {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" });
  const pages = [
    "README.md",
    ...docs.filter((name) => name.endsWith(".md")).map((name) => join("docs", name)),
  ];
  const folder = mkdtempSync(join(tmpdir(), "leat-docs-"));
  try {
    for (const page of pages) {
      yamlBlocks(readFileSync(join(ROOT, page), "utf8")).forEach((yaml, at) => {
        const file = join(folder, "leat.yaml");
        writeFileSync(file, yaml);
        const result = readConfiguration([file], { readEnv: false });
        assert.deepEqual(result.ok ? [] : result.problems.map(formatProblem), [], `${page}, block ${at + 1}`);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
