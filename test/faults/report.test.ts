import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { LedgerLine } from "./ledger.ts";
import { withLedgers } from "./report.ts";

const PAGE = readFileSync(new URL("../../docs/faults.md", import.meta.url), "utf8");
const line = (test: string, lost: number, passed = true): LedgerLine => ({
  test,
  passed,
  file: "test/faults/kill.fault.ts",
  at: "2026-11-21T07:00:00.000Z",
  machine: "2 x a processor",
  ledger: { promised: 12345, lost, refused: "3 x 503 | cut" },
});

test("of each run the last ledger stands in the page, in the place of those before, and the text around it stays", () => {
  const once = withLedgers(PAGE, [line("a", 1, false), line("b", 0), line("a", 0)]);
  assert.match(
    once,
    /\| a \| 2026-11-21 \| promised: 12,345; lost: 0; refused: 3 x 503 \\\| cut \|\n\| .* \| b \|/,
  );
  assert.doesNotMatch(once, /lost: 1;/);
  assert.equal(withLedgers(once, [line("a", 0), line("b", 0)]), once);
  assert.equal(withLedgers(once, [line("b", 0)]), once, "what was not run again keeps its ledger");
  assert.equal(withLedgers(PAGE, []), PAGE);
  assert.equal(once.split("\n## ").length, PAGE.split("\n## ").length);
  assert.throws(() => withLedgers("no place", []), /lacks/);
});

test("a run that failed last has no ledger in the page, whatever it counted", () => {
  assert.throws(
    () => withLedgers(PAGE, [line("a", 0), line("b", 0), line("a", 0, false)]),
    /not passed.*\n.* a$/,
  );
});
