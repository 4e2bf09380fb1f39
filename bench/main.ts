/**
 * `npm run bench [-- --only NAME,… --json FILE …]`: prints a table of figures of Leat beside those of baselines from the
 * same run, and writes them into docs/bench.json; docs/bench.md explains them. Exits 1 when a row misses its bar.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMeasurement, MEASUREMENTS, type MeasurementName } from "./measurements.ts";
import { record } from "./record.ts";
import { type Row, reaches } from "./row.ts";
import { terminalTable } from "./table.ts";
import { ensureWrk } from "./tools.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    json: { type: "string", default: join(import.meta.dirname, "..", "docs", "bench.json") },
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "3" },
    kept: { type: "string", default: "5000000" },
    journal: { type: "string" },
    waiting: { type: "string", default: "200000" },
  },
});

const all = Object.keys(MEASUREMENTS) as MeasurementName[];
const names = (values.only?.split(",") ?? all).map((name) => {
  if (isMeasurement(name)) return name;
  throw new Error(`there is no measurement "${name}": ${all.join(", ")}`);
});
const options = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  kept: Number(values.kept),
  journal: values.journal ?? null,
  waiting: Number(values.waiting),
};

// Given up, it leaves no server and no journal behind (`exit`, in process.ts and leat.ts).
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

ensureWrk();
const date = new Date();
const command = ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(
  " ",
);
const measured: { name: string; rows: Row[] }[] = [];
for (const name of names) {
  const start = performance.now();
  measured.push({ name, rows: await MEASUREMENTS[name](options) });
  console.error(`${name}: measured in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  // At once: what a long run has measured isn't lost when its end is.
  record(values.json, { date, command, measured }, all);
}
const rows = measured.flatMap((one) => one.rows);
console.log(terminalTable(rows));
process.exitCode = rows.every(reaches) ? 0 : 1;
