/**
 * `npm run bench [-- --rounds 5 --seconds 8 --json FILE]`: prints a table; with --json also writes it, with the date,
 * the machine and the command. Exits 1 when a row misses its bar.
 */
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { ingest } from "./ingest.ts";
import type { Row } from "./row.ts";
import { ensureWrk } from "./wrk.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "8" },
    json: { type: "string" },
  },
});

ensureWrk();
const rows: Row[] = [await ingest(Number(values.rounds), Number(values.seconds))];

for (const row of rows) {
  console.log(
    `${row.row}: ${row.leat.toFixed(0)} ${row.unit}, ${row.against}: ${row.baseline.toFixed(0)}; ` +
      `ratio ${row.ratio.toFixed(3)} (at least ${row.bar})${row.ratio < row.bar ? "  MISSED" : ""}`,
  );
  for (const [name, value] of Object.entries(row.more)) console.log(`  ${name}: ${value.toFixed(2)}`);
}

if (values.json !== undefined) {
  const machine = {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  };
  const command = `npm run bench -- --rounds ${values.rounds} --seconds ${values.seconds}`;
  writeFileSync(
    values.json,
    `${JSON.stringify({ date: new Date().toISOString(), machine, command, rows }, null, 2)}\n`,
  );
}
process.exitCode = rows.some((row) => row.ratio < row.bar) ? 1 : 0;
