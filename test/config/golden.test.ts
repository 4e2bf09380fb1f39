/**
 * Bad configurations and what is said about them: `golden/*.txt` hold the input, a line `---`, and the messages.
 *
 * Comments at the head of an input set the scene: `# env: NAME=value`, `# args: --log-level=x`, `# no-env`,
 * `# file: secret.txt=its text` (a file beside it, `\n` for a line's end), `# config: .` (what is given in place of
 * leat.yaml). A line `=== name.yaml` begins a further file.
 *
 * After a change that is meant, GOLDEN=write writes the messages anew; read the difference before you commit it.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { expressions } from "../../src/commands/configuration.ts";
import { formatProblem, loadConfig } from "../../src/config/load.ts";

const FOLDER = join(import.meta.dirname, "golden");

interface Scene {
  readonly files: ReadonlyMap<string, string>;
  readonly paths: readonly string[];
  readonly env: Record<string, string>;
  readonly args: readonly string[];
  readonly readEnv: boolean;
}

function sceneOf(input: string): Scene {
  const files = new Map<string, string>();
  const [first = "", ...further] = input.split(/^=== (.+)\n/m);
  files.set("leat.yaml", first);
  for (let at = 0; at < further.length; at += 2) files.set(further[at] as string, further[at + 1] as string);
  const yaml = [...files.keys()];
  const settings = (name: string) =>
    [...first.matchAll(new RegExp(`^# ${name}: (.*)$`, "gm"))].map((found) => found[1] as string);
  const pairs = (name: string) =>
    settings(name).map((line): [string, string] => [
      line.slice(0, line.indexOf("=")),
      line.slice(line.indexOf("=") + 1).replaceAll("\\n", "\n"),
    ]);
  for (const [name, text] of pairs("file")) files.set(name, text);
  const paths = settings("config");
  return {
    files,
    paths: paths.length > 0 ? paths : yaml,
    env: Object.fromEntries(pairs("env")),
    args: settings("args"),
    readEnv: !/^# no-env$/m.test(first),
  };
}

function messagesFor(scene: Scene): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-golden-"));
  try {
    for (const [name, text] of scene.files) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    const { env, args, readEnv } = scene;
    const paths = scene.paths.map((path) => join(folder, path));
    const result = loadConfig({ paths, args, env, readEnv, expressions });
    const problems = result.ok ? result.warnings : result.problems;
    const lines = [...problems.map(formatProblem), ...(result.ok ? ["ok"] : [])];
    return `${lines.join("\n").replaceAll(`${folder}/`, "").replaceAll(folder, ".")}\n`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const name of readdirSync(FOLDER).toSorted()) {
  test(`says what is wrong: ${name.replace(/\.txt$/, "").replaceAll("-", " ")}`, () => {
    const text = readFileSync(join(FOLDER, name), "utf8");
    const end = text.lastIndexOf("\n---\n");
    assert.notEqual(end, -1, "a line --- ends the input");
    const input = text.slice(0, end + 1);
    const messages = messagesFor(sceneOf(input));
    if (process.env.GOLDEN === "write") writeFileSync(join(FOLDER, name), `${input}---\n${messages}`);
    else assert.equal(messages, text.slice(end + "\n---\n".length));
  });
}

test("there are at least 60 of them", () => {
  assert.ok(readdirSync(FOLDER).length >= 60);
});
