/** The pages for those who run Leat: every metric, error, message, setting, command and file that they name is there. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { getJson, startForTest } from "../daemon/running.ts";
import { ROOT } from "./unit-file.ts";

const PAGES = ["docs/operating.md", "docs/deploy.md"];

const read = (file: string) => readFileSync(join(ROOT, file), "utf8");
/** A statement's text may be broken over lines. */
const flat = (text: string) => text.replace(/\s+/g, " ");
const source = flat(globSync("src/**/*.ts", { cwd: ROOT }).map(read).join("\n"));
const reference = globSync("docs/reference/*.md", { cwd: ROOT }).map(read).join("\n");

/** What stands between backticks in the text of a page. */
const spans = PAGES.flatMap((page) =>
  [...flat(read(page).replace(/^```[\s\S]*?^```/gm, "")).matchAll(/`([^`]+)`/g)].map(([, span = ""]) => ({
    page,
    span,
  })),
);

function named(pattern: RegExp): string[] {
  const found = [...new Set(spans.flatMap(({ span }) => span.match(pattern) ?? []))];
  assert.ok(found.length > 3, `the pages name some of ${pattern}`);
  return found;
}

test("every metric is one that /metrics has", async (t) => {
  const { admin } = await startForTest(
    t,
    `sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: stdout } }
routes: { all: { from: in, to: out } }
`,
  );
  const text = String((await getJson(`${admin}/metrics`)).json.text);
  for (const name of named(/leat_\w+/g)) assert.match(text, new RegExp(`^# HELP ${name} `, "m"), name);
});

test("every code, reason and field is a word of the source's", () => {
  for (const word of named(/(?<![\w./-])(?!leat_)[a-z]+(?:_[a-z]+)+(?![\w./])/g)) {
    assert.match(source, new RegExp(`\\b${word}\\b`), word);
  }
});

test("every message is said by the source", () => {
  const messages = spans
    .map(({ span }) => span)
    .filter((span) => /^[A-Za-z]+(:?( [a-zA-Z']+))+$/.test(span))
    .filter(
      (span) => !/^(?:docker|kubectl|leat|npm|sqlite|systemctl) |^SQL logic error$|^from: leat$/.test(span),
    );
  assert.ok(messages.length >= 8, "the pages quote some");
  for (const message of messages) assert.ok(source.includes(message), message);
});

test("every setting is in the reference", () => {
  for (const setting of named(/^(?:server|journal|retention|log|shutdown|limits)\.(?!db)[a-z_.]+$/g)) {
    assert.ok(reference.includes(setting), setting);
  }
});

test("every command is one of leat's, and every request one of the admin listener's", () => {
  for (const command of named(/^leat [a-z-]+/g)) {
    const [, name] = command.split(" ");
    assert.match(source, new RegExp(`command\\("${name}"\\)`), command);
  }
  const admin = flat(globSync("src/admin/*.ts", { cwd: ROOT }).map(read).join("\n"));
  for (const path of named(/\/api\/[a-z]+/g)) {
    const [, , name = ""] = path.split("/");
    assert.match(admin, new RegExp(`\\b${name}\\b`), path);
  }
});

test("every file of the repository that is named or linked is there", () => {
  for (const page of PAGES) {
    const text = read(page);
    const linked = [...text.matchAll(/\]\(([\w./-]+)\)/g)].map(([, file = ""]) => join("docs", file));
    const files = [...text.matchAll(/(?<![/\w])deploy\/[\w./-]*\w/g)].map(([file]) => file);
    for (const file of [...linked, ...files]) assert.ok(existsSync(join(ROOT, file)), `${page}: ${file}`);
  }
});
