/** `node bench/docs.ts [--check]`: the figures of docs/bench.md, from docs/bench.json. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Measured, readRecord } from "./record.ts";
import { figure, markdownMore, markdownTable } from "./table.ts";

const DOCS = join(import.meta.dirname, "..", "docs");
const PAGE = join(DOCS, "bench.md");
const FIGURES = /(<!-- figures[^\n]*-->\n)[\s\S]*(<!-- \/figures -->)/;

/** The page with the figures of the record beside it in place of those that it has. */
export function pageNow(): string {
  const page = readFileSync(PAGE, "utf8");
  if (!FIGURES.test(page)) throw new Error(`${PAGE} has no place for figures`);
  const figures = figuresOf(readRecord(join(DOCS, "bench.json")));
  return page.replace(FIGURES, (_all, start: string, end: string) => `${start}\n${figures}\n\n${end}`);
}

export function figuresOf(measured: readonly Measured[]): string {
  const rows = measured.flatMap((one) => one.rows);
  return [markdownTable(rows), "Also measured:", markdownMore(rows), "How:", runsOf(measured)].join("\n\n");
}

/** Which run each figure is from; those of one run stand together. */
function runsOf(measured: readonly Measured[]): string {
  const runs = new Map<string, Measured[]>();
  for (const one of measured) {
    const run = `${one.command}\n${one.date}\n${one.commit}`;
    runs.set(run, [...(runs.get(run) ?? []), one]);
  }
  return [...runs.values()]
    .map((run) => {
      const [{ command, date, commit, machine }] = run as [Measured];
      const { processor, cores, memoryBytes, kernel, node } = machine;
      const names = run.map(({ name }) => name).join(", ");
      const memory = `${figure(memoryBytes / 2 ** 30)} GiB`;
      const where = `${processor}, ${cores} cores, ${memory}, Linux ${kernel}, Node ${node}`;
      return `- ${names}: \`${command}\`, ${date.slice(0, 10)}, commit ${commit}; ${where}`;
    })
    .join("\n");
}

if (import.meta.main) {
  const page = pageNow();
  if (!process.argv.includes("--check")) writeFileSync(PAGE, page);
  else if (page !== readFileSync(PAGE, "utf8")) {
    console.error("docs/bench.md is not what docs/bench.json says: run `node bench/docs.ts`");
    process.exitCode = 1;
  }
}
