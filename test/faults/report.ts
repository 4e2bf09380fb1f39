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

/**
 * The page with these ledgers, each in the place of the one that it had of the same run; those of other runs stay. Throws
 * where the page has no place for them, or where a run failed.
 */
export function withLedgers(page: string, lines: readonly LedgerLine[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page lacks ${BEGIN} or ${END}`);
  const last = new Map(lines.map((line) => [`${line.file} ${line.test}`, line]));
  // What was written before lines said it counts as failed.
  const failed = [...last].filter(([, { passed }]) => passed !== true).map(([run]) => run);
  if (failed.length > 0) throw new Error(`not passed, and so no ledgers:\n${failed.join("\n")}`);
  const rows = new Map(rowsOf(page.slice(begin, end)).map((row) => [row.run, row]));
  for (const line of last.values()) {
    const row = rowOf(line);
    rows.set(row.run, row);
  }
  return `${page.slice(0, begin + BEGIN.length)}\n\n${tables([...rows.values()])}\n${page.slice(end)}`;
}

interface Row {
  readonly machine: string;
  /** The first two cells: the file and what it ran. */
  readonly run: string;
  /** The others: the day and the ledger. */
  readonly rest: string;
}

function rowOf({ file, test, at, machine, ledger }: LedgerLine): Row {
  const run = `| [${file.replace(/^.*\//, "")}](../${file}) | ${cell(test)} `;
  return { machine, run, rest: `| ${at.slice(0, 10)} | ${figures(ledger)} |` };
}

/** As `tables` wrote them. */
function rowsOf(section: string): Row[] {
  const rows: Row[] = [];
  let machine = "";
  for (const line of section.split("\n")) {
    machine = /^On (.*):$/.exec(line)?.[1] ?? machine;
    const [, run, rest] = /^(\| \[.*? )(\| \d{4}-\d\d-\d\d \| .*)$/.exec(line) ?? [];
    if (run !== undefined && rest !== undefined) rows.push({ machine, run, rest });
  }
  return rows;
}

function tables(rows: readonly Row[]): string {
  const machines = Map.groupBy(
    rows.toSorted((a, b) => (a.run < b.run ? -1 : a.run > b.run ? 1 : 0)),
    ({ machine }) => machine,
  );
  const head = "| file | run | day | ledger |\n| --- | --- | --- | --- |";
  return [...machines]
    .map(
      ([machine, its]) => `On ${machine}:\n\n${head}\n${its.map(({ run, rest }) => run + rest).join("\n")}\n`,
    )
    .join("\n");
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
