/**
 * The client library as one file, for pages that have no bundler: the modules of src/client/ in the order in which they
 * need each other, without types and comments. It relies on how those files are written: top-level names are unique among
 * them, and imports are of each other alone.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { minify } from "./minify.ts";

const root = resolve(import.meta.dirname, "..");
const ENTRY = "connect";
/** Members that users of the library neither see nor give, and that are neither the browser's nor the wire's. */
const INTERNAL = (
  "inbox intake receive settle taken flush resume matches stand tell place begin idle full room answer heard hears emit " +
  "nextRef dial reset listener gap open lost ask end text"
).split(" ");
const EXPORTED = ["connect", "StreamError"];

export function tsc(...args: readonly string[]): void {
  const program = [join(root, "node_modules/typescript/bin/tsc"), ...args];
  execFileSync(process.execPath, program, { cwd: root, stdio: "inherit" });
}

/** The text of the single file. Takes a second: the compiler runs. */
export function bundleClient(): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-client-"));
  try {
    tsc("-p", "tsconfig.client.json", "--declaration", "false", "--removeComments", "--outDir", folder);
    return `/* leat/client: Apache-2.0 */\n${joined((name) => readFileSync(join(folder, `${name}.js`), "utf8"))}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `read` gives the text of a module by its name. */
function joined(read: (name: string) => string): string {
  const done = new Set<string>();
  const lines: string[] = [];
  const add = (name: string) => {
    if (done.has(name)) return;
    done.add(name);
    const text = read(name);
    for (const [, needed = ""] of text.matchAll(/^(?:import|export) .*from "\.\/([\w-]+)\.js";$/gm))
      add(needed);
    lines.push(...text.split("\n"));
  };
  add(ENTRY);
  const kept = lines
    .filter((line) => !/^(?:import |export \{|export .* from )/.test(line))
    .map((line) => line.trim().replace(/^export (?!\{)/, ""))
    .filter((line) => line !== "");
  const names = kept.flatMap((line) => /^(?:async )?(?:function\*?|class) (\w+)/.exec(line)?.[1] ?? []);
  const twice = names.filter((name, at) => names.indexOf(name) !== at);
  if (twice.length > 0) throw new Error(`src/client/ has two of ${twice.join(", ")}`);
  return `${minify(`${kept.join("\n")}\nexport { ${EXPORTED.join(", ")} };`, INTERNAL)}\n`;
}
