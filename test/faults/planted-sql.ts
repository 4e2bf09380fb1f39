/**
 * Preloaded (`--import`) into every thread of a daemon under test: at a chosen statement of SQLite the process kills
 * itself, or the thread ends. `LEAT_SQL_FAULT` names a file with a `PlantedSql` as JSON, read once a thread.
 *
 * It stands below the storage port, at node:sqlite itself, so the daemon is the one that users run, to the last line.
 */
import { existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { DatabaseSync, StatementSync } from "node:sqlite";
import { threadName } from "node:worker_threads";
import type { PlantedSql, SqlFault } from "./plant.ts";

const file = process.env.LEAT_SQL_FAULT;
const planted: PlantedSql =
  file !== undefined && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};

const { exec } = DatabaseSync.prototype;
DatabaseSync.prototype.exec = function (sql) {
  const asked =
    planted.neverSynced === true ? sql.replace("synchronous = FULL", "synchronous = NORMAL") : sql;
  around(sql, () => exec.call(this, asked));
};
for (const method of ["run", "get", "all"] as const) {
  const real: (...values: never[]) => unknown = StatementSync.prototype[method];
  Object.defineProperty(StatementSync.prototype, method, {
    value(this: StatementSync, ...values: unknown[]) {
      return around(this.sourceSQL, () => Reflect.apply(real, this, values));
    },
  });
}

const fault = planted.fault?.thread === threadName ? planted.fault : undefined;
const pattern = new RegExp(fault?.sql ?? "$^", "s");
let count = 0;

function around<T>(sql: string, work: () => T): T {
  if (fault === undefined || !pattern.test(sql)) return work();
  if (fault.armedBy !== undefined && !existsSync(fault.armedBy)) return work();
  const due = ++count === fault.nth;
  if (due && fault.when === "before") strike(fault);
  const result = work();
  if (due && fault.when === "after") strike(fault);
  return result;
}

function strike({ does }: SqlFault): void {
  if (does === "kill") process.kill(process.pid, "SIGKILL");
  // In a worker it ends the thread alone.
  else if (does === "end") process.exit(0);
  else if (does === "hang") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  else
    setImmediate(() => {
      throw new Error("planted: nobody catches this");
    });
}

if (planted.migrations !== undefined) {
  const { migrations } = planted;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!/\/journal\/sqlite\/schema\.[jt]s$/.test(url)) return loaded;
      const source = String(loaded.source);
      const later = source.replace("= [VERSION_1]", `= [VERSION_1, ...${JSON.stringify(migrations)}]`);
      if (later === source) throw new Error("schema.ts has no list of migrations to add to");
      return { ...loaded, source: later };
    },
  });
}
