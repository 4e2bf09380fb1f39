import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { figuresOf, pageNow } from "../../bench/docs.ts";
import { MEASUREMENTS } from "../../bench/measurements.ts";
import { readRecord, record } from "../../bench/record.ts";
import type { Row } from "../../bench/row.ts";

const DOCS = join(import.meta.dirname, "..", "..", "docs");
const NAMES = Object.keys(MEASUREMENTS);

const rowOf = (row: string): Row => ({
  row,
  unit: "ms",
  leat: 2,
  baseline: 1,
  against: "a server",
  compared: { by: "difference", value: 1 },
  bar: null,
  more: {},
});

test("the figures in docs/bench.md are those of docs/bench.json", () => {
  assert.equal(readFileSync(join(DOCS, "bench.md"), "utf8"), pageNow(), "run `node bench/docs.ts`");
});

test("docs/bench.json has every measurement, and docs/bench.md names each and each of its rows", () => {
  const measured = readRecord(join(DOCS, "bench.json"));
  assert.deepEqual(
    measured.map(({ name }) => name),
    NAMES,
  );
  const page = readFileSync(join(DOCS, "bench.md"), "utf8");
  for (const name of NAMES) assert.ok(page.includes(`\`${name}\``), name);
});

test("a run of some measurements takes the place of those only, and each keeps its own command", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-bench-record-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "bench.json");
  const run = (command: string, ...names: string[]) =>
    record(
      file,
      {
        date: new Date(0),
        command,
        measured: names.map((name) => ({ name, rows: [rowOf(`${name} ${command}`)] })),
      },
      ["one", "two"],
    );
  run("first", "two", "one");
  run("second", "two");
  const found = readRecord(file);
  assert.deepEqual(
    found.map(({ name, command, rows }) => [name, command, rows[0]?.row]),
    [
      ["one", "first", "one first"],
      ["two", "second", "two second"],
    ],
  );
  const figures = figuresOf(found);
  assert.match(figures, /^- one: `first`, 1970-01-01, commit \S+; .*Node v24/m);
  assert.match(figures, /^- two: `second`, /m);
});
