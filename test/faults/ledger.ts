import { appendFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { relative, resolve } from "node:path";
import type { TestContext } from "node:test";

/** What one fault run counted, by name: events promised, lost, repeats, milliseconds, the seed where there is one. */
export type Ledger = Readonly<Record<string, number | string>>;

/** A line of the file that `LEAT_FAULTS_JSON` names. */
export interface LedgerLine {
  readonly test: string;
  /** The test's file, from the repository's root. */
  readonly file: string;
  /** RFC 3339. */
  readonly at: string;
  readonly machine: string;
  readonly ledger: Ledger;
}

/**
 * Prints a fault run's ledger as the test's diagnostic and, where `LEAT_FAULTS_JSON` names a file, appends it there as
 * a line of JSON, from which `node test/faults/report.ts` writes docs/faults.md.
 */
export function recordLedger(t: TestContext, ledger: Ledger): void {
  const figures = Object.entries(ledger).map(([name, value]) => `${name} ${value}`);
  t.diagnostic(`ledger: ${figures.join(", ")}`);
  const to = process.env.LEAT_FAULTS_JSON;
  if (to === undefined) return;
  const file = relative(resolve(import.meta.dirname, "../.."), t.filePath ?? "");
  const line: LedgerLine = { test: t.name, file, at: new Date().toISOString(), machine: machine(), ledger };
  appendFileSync(to, `${JSON.stringify(line)}\n`);
}

function machine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = processors[0]?.model.trim() ?? "unknown";
  return `${processors.length} x ${model}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}
