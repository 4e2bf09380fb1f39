/**
 * Writes the ledgers of a fault programme into docs/faults.md: `LEAT_FAULTS_JSON=<file> node test/faults/report.ts`, the
 * file being the one that `npm run test:faults` appended to under the same name. Of a run that is there twice the last
 * one counts, and it has to have passed: a ledger of one that didn't is refused. The text around the ledgers is kept.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Ledger, LedgerLine } from "./ledger.ts";

const PAGE = resolve(import.meta.dirname, "../../docs/faults.md");
const [BEGIN, END] = ["<!-- ledgers: test/faults/report.ts writes them -->", "<!-- end of ledgers -->"];

/** The page with these ledgers in the place of those it has. Throws where it has no such place, or where a run failed. */
export function withLedgers(page: string, lines: readonly LedgerLine[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page lacks ${BEGIN} or ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${section(lines)}\n${page.slice(end)}`;
}

function section(lines: readonly LedgerLine[]): string {
  const last = new Map(lines.map((line) => [`${line.file} ${line.test}`, line]));
  // What was written before lines said it counts as failed.
  const failed = [...last].filter(([, { passed }]) => passed !== true).map(([run]) => run);
  if (failed.length > 0) throw new Error(`not passed, and so no ledgers:\n${failed.join("\n")}`);
  const machines = new Map<string, LedgerLine[]>();
  for (const line of [...last.values()].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))) {
    machines.set(line.machine, [...(machines.get(line.machine) ?? []), line]);
  }
  return [...machines].map(([machine, runs]) => table(machine, runs)).join("\n");
}

function table(machine: string, runs: readonly LedgerLine[]): string {
  const days = [...new Set(runs.map(({ at }) => at.slice(0, 10)))].sort();
  const rows = runs.map(
    ({ file, test, ledger }) =>
      `| [${file.replace(/^.*\//, "")}](../${file}) | ${cell(test)} | ${figures(ledger)} |`,
  );
  return `${days.join(", ")}, on ${machine}:\n\n| file | run | ledger |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
}

function figures(ledger: Ledger): string {
  return Object.entries(ledger)
    .map(
      ([name, value]) =>
        `${cell(name)}: ${typeof value === "number" && name !== "seed" ? value.toLocaleString("en") : cell(`${value}`)}`,
    )
    .join("; ");
}

/** Literal text within a table. */
function cell(text: string): string {
  return text.replace(/[|\\<*_`[]/g, "\\$&");
}

if (import.meta.main) {
  const file = process.env.LEAT_FAULTS_JSON;
  if (file === undefined) throw new Error("LEAT_FAULTS_JSON must name the file with the ledgers");
  const lines = readFileSync(file, "utf8").trim().split("\n");
  writeFileSync(
    PAGE,
    withLedgers(
      readFileSync(PAGE, "utf8"),
      lines.map((line) => JSON.parse(line) as LedgerLine),
    ),
  );
}
