import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import type { LedgerLine } from "./ledger.ts";

const RUNS = `
import assert from "node:assert/strict";
import { test } from "node:test";
import { recordLedger } from "${pathToFileURL(join(import.meta.dirname, "ledger.ts"))}";
test("holds", (t) => recordLedger(t, { lost: 0 }));
test("holds no longer", (t) => {
  recordLedger(t, { lost: 1 });
  assert.equal(1, 0);
});
`;

test("a ledger says whether its run passed, also what it asserted once the ledger was there", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-ledger-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [runs, ledgers] = [join(folder, "runs.fault.ts"), join(folder, "ledgers.jsonl")];
  writeFileSync(runs, RUNS);
  // Not as a part of this test run, which would have its output in a form of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  await new Promise((resolve) => {
    execFile(process.execPath, ["--test", runs], { env: { ...env, LEAT_FAULTS_JSON: ledgers } }, resolve);
  });
  const lines = readFileSync(ledgers, "utf8").trim().split("\n");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as LedgerLine).map(({ test, passed }) => [test, passed]),
    [
      ["holds", true],
      ["holds no longer", false],
    ],
  );
});
