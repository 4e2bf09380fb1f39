import { appendFileSync } from "node:fs";
import type { TestContext } from "node:test";

/** What one fault run counted, by name: events promised, lost, repeats, milliseconds, the seed where there is one. */
export type Ledger = Readonly<Record<string, number | string>>;

/**
 * Prints a fault run's ledger as the test's diagnostic and, where `LEAT_FAULTS_JSON` names a file, appends it there as
 * a line of JSON, from which `node test/faults/report.ts` writes docs/faults.md.
 */
export function recordLedger(t: TestContext, ledger: Ledger): void {
  const figures = Object.entries(ledger).map(([name, value]) => `${name} ${value}`);
  t.diagnostic(`ledger: ${figures.join(", ")}`);
  const file = process.env.LEAT_FAULTS_JSON;
  if (file === undefined) return;
  appendFileSync(file, `${JSON.stringify({ test: t.name, at: new Date().toISOString(), ledger })}\n`);
}
