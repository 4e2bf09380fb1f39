/** A kill -9 between and within the steps that bring a journal to a later version: the next start goes on from there. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { debuglog } from "node:util";
import { laterStep, STEP_BEGINS } from "./later-schema.ts";
import { recordLedger } from "./ledger.ts";
import type { DiskFault, SqlFault } from "./plant.ts";
import { makeProving, type Proving } from "./proving.ts";

const debug = debuglog("faults");

const at = (sql: string, when: SqlFault["when"], nth: number): { sql: SqlFault } => ({
  sql: { thread: "journal writer", sql, when, nth, does: "kill" },
});
const on = (call: DiskFault["call"], does: DiskFault["does"], nth: number): { disk: DiskFault } => ({
  disk: { file: "journal.db-wal", call, does, nth },
});

/** Each round brings the journal two versions on; the first COMMITs of a start are those of its steps. */
const MOMENTS: readonly { sql?: SqlFault; disk?: DiskFault }[] = [
  at(STEP_BEGINS, "before", 1),
  at(STEP_BEGINS, "after", 1),
  at("^PRAGMA user_version =", "before", 1),
  at("^PRAGMA user_version =", "after", 1),
  at("^COMMIT", "before", 1),
  at("^COMMIT", "after", 1),
  at(STEP_BEGINS, "before", 2),
  at(STEP_BEGINS, "after", 2),
  at("^COMMIT", "before", 2),
  at("^COMMIT", "after", 2),
  on("write", "kill-within", 2),
  on("sync", "kill-before", 1),
];
const STEPS_A_ROUND = 2;

test("a migration that is killed at any step is finished by the next start", {
  timeout: 600_000,
}, async (t) => {
  const proving = await makeProving();
  t.after(() => proving.close());
  const { daemon, planter } = proving;
  const steps: string[] = [];

  assert.ok(await proving.start());
  proving.send();
  for (const [round, moment] of MOMENTS.entries()) {
    await proving.load(200);
    daemon.signal("SIGKILL");
    await daemon.ended();
    for (let n = 0; n < STEPS_A_ROUND; n++) steps.push(laterStep(steps.length + 1));
    planter.sql({ migrations: steps, ...(moment.sql && { fault: moment.sql }) });
    planter.disk(moment.disk ?? null);
    assert.equal(await proving.start(), false, `round ${round}: it was killed in the migration`);
    debug("round %d: killed with version %d", round, versionOf(proving));
    planter.sql({ migrations: steps });
    planter.disk(null);
    assert.ok(await proving.start());
    assert.equal(versionOf(proving), 1 + steps.length);
    for (const n of [steps.length - 1, steps.length])
      assert.ok(rowsOf(proving, `later_${n}`) > 0, `step ${n}`);
  }
  await proving.load(200);
  const ledger = await proving.settle();

  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  planter.sql({});
  await assert.rejects(proving.start(), /it ended with 3/);
  assert.match(daemon.output(), /This Leat knows up to 1: run the newer one/);
  assert.equal(versionOf(proving), 1 + steps.length, "an older Leat leaves it alone");
  recordLedger(t, { kills: MOMENTS.length, migrations: steps.length, ...ledger });
});

function versionOf(proving: Proving): number {
  return read(proving, "PRAGMA user_version", "user_version");
}

function rowsOf(proving: Proving, table: string): number {
  return read(proving, `SELECT count(*) AS n FROM ${table}`, "n");
}

function read({ daemon }: Proving, sql: string, column: string): number {
  const database = new DatabaseSync(join(daemon.folder, "data", "journal.db"), { readOnly: true });
  try {
    return Number(database.prepare(sql).get()?.[column]);
  } finally {
    database.close();
  }
}
