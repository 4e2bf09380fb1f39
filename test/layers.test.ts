import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

/**
 * The layers of ARCHITECTURE.md: which folder may import which. A file belongs to the first row whose prefix it has;
 * a folder may always import itself. Prefixes are of paths below src/.
 */
const WORDS = [
  "event.ts",
  "errors.ts",
  "ports.ts",
  "plan.ts",
  "prepared.ts",
  "secrets.ts",
  "component.ts",
  "pattern.ts",
  "token-bucket.ts",
  "version.ts",
  "config/fields.ts",
];
const LAYERS: readonly { readonly files: readonly string[]; readonly may: readonly string[] }[] = [
  { files: WORDS, may: WORDS },
  // In browsers, so nothing of the daemon's.
  { files: ["client/"], may: [] },
  { files: ["components.ts"], may: [...WORDS, "sources/", "sinks/"] },
  { files: ["config/"], may: [...WORDS, "components.ts"] },
  { files: ["journal/"], may: WORDS },
  { files: ["http/"], may: WORDS },
  { files: ["routing/"], may: [...WORDS, "journal/journal.ts"] },
  { files: ["delivery/"], may: [...WORDS, "journal/journal.ts"] },
  { files: ["brokers/"], may: WORDS },
  { files: ["sources/"], may: [...WORDS, "http/", "brokers/"] },
  { files: ["sinks/"], may: [...WORDS, "http/", "brokers/"] },
  { files: ["console/"], may: [...WORDS, "journal/journal.ts", "http/", "sinks/stream/", "sinks/sse/"] },
  { files: ["admin/"], may: [...WORDS, "journal/journal.ts", "http/", "console/", "daemon/", "daemon.ts"] },
  {
    files: ["commands/", "daemon/", "daemon.ts", "main.ts", "log.ts", "log-fields.ts", "log-output.ts"],
    may: [""],
  },
];

const SRC = resolve(import.meta.dirname, "../src");

function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .sort();
}

function importsOf(path: string): string[] {
  const text = readFileSync(join(SRC, path), "utf8");
  return [...text.matchAll(/^(?:import|export)\b[^;]*?from\s+"(\.[^"]+)"|import\("(\.[^"]+)"\)/gm)].map(
    (match) => relative(SRC, resolve(SRC, dirname(path), match[1] ?? match[2] ?? "")),
  );
}

const begins = (path: string, prefixes: readonly string[]) =>
  prefixes.some((prefix) => path.startsWith(prefix));

test("every file imports only from the layers below it", () => {
  const broken: string[] = [];
  for (const path of sources()) {
    const layer = LAYERS.find(({ files }) => begins(path, files));
    if (layer === undefined) {
      broken.push(
        `src/${path} belongs to no layer: give it a row in test/layers.test.ts and ARCHITECTURE.md`,
      );
      continue;
    }
    for (const target of importsOf(path)) {
      if (!begins(target, layer.files) && !begins(target, layer.may))
        broken.push(`src/${path} imports src/${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test("nothing outside src/journal/ knows which engine it has, except the composition", () => {
  const broken = sources()
    .filter((path) => !begins(path, ["journal/", "daemon", "commands/", "main.ts"]))
    .flatMap((path) =>
      importsOf(path)
        .filter((target) => target.startsWith("journal/sqlite"))
        .map((target) => `${path} → ${target}`),
    );
  assert.deepEqual(broken, []);
});
