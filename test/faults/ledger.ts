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
  /** Whether all that the run asserts held, also what it asserted behind its ledger. */
  readonly passed: boolean;
  readonly ledger: Ledger;
}

/**
 * Prints a fault run's ledger as the test's diagnostic, at once, so that a run that fails shows its figures too. Once the
 * run is over, and where `LEAT_FAULTS_JSON` names a file, it is appended there as a line of JSON, with whether the run
 * passed: `node test/faults/report.ts` writes docs/faults.md from it, and refuses what didn't.
 */
export function recordLedger(t: TestContext, ledger: Ledger): void {
  const figures = Object.entries(ledger).map(([name, value]) => `${name} ${value}`);
  t.diagnostic(`ledger: ${figures.join(", ")}`);
  const to = process.env.LEAT_FAULTS_JSON;
  if (to === undefined) return;
  const file = relative(resolve(import.meta.dirname, "../.."), t.filePath ?? "");
  const at = new Date().toISOString();
  t.after(() => {
    // Which the types of Node 24 leave out.
    const { passed } = t as TestContext & { readonly passed: boolean };
    const line: LedgerLine = { test: t.name, file, at, machine: machine(), passed, ledger };
    appendFileSync(to, `${JSON.stringify(line)}\n`);
  });
}

function machine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = processors[0]?.model.trim() ?? "unknown";
  return `${processors.length} x ${model}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}
