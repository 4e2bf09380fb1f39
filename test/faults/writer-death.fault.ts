/** A thread of the journal that ends, throws, or stands still: no yes without a commit, and a clean start afterwards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { recordLedger } from "./ledger.ts";
import type { SqlFault } from "./plant.ts";
import { makeProving } from "./proving.ts";

const writer = (does: SqlFault["does"], when: SqlFault["when"], nth: number): SqlFault => ({
  thread: "journal writer",
  sql: "^COMMIT",
  when,
  nth,
  does,
});
/** With the code that the daemon leaves with: a reader's end says nothing of the disk. */
const FATAL: readonly (readonly [SqlFault, number])[] = [
  [writer("throw", "before", 60), 4],
  [writer("throw", "after", 90), 4],
  [writer("end", "before", 120), 4],
  [writer("end", "after", 60), 4],
  // Delivery reads what it was not fed from memory: after a start, what was left by the last process.
  [{ thread: "journal reader: delivery", sql: ".", when: "after", nth: 1, does: "end" }, 1],
];
const BORNE: readonly SqlFault[] = [
  { thread: "journal checkpoints", sql: "wal_checkpoint", when: "before", nth: 3, does: "throw" },
  { thread: "journal checkpoints", sql: "wal_checkpoint", when: "after", nth: 5, does: "end" },
];

test("a thread the journal can't do without ends: it leaves, and the next start has all that was promised", {
  timeout: 600_000,
}, async (t) => {
  const proving = await makeProving();
  t.after(() => proving.close());
  const { daemon, planter } = proving;
  assert.ok(await proving.start());
  proving.send();
  for (const [fault, code] of FATAL) {
    await proving.load(200);
    daemon.signal("SIGKILL");
    await daemon.ended();
    planter.sql({ fault });
    daemon.launch();
    assert.equal(await daemon.ended(), code, `${JSON.stringify(fault)}: ${daemon.output().slice(-2000)}`);
    planter.sql({});
    assert.ok(await proving.start());
  }
  for (const fault of BORNE) {
    daemon.signal("SIGKILL");
    await daemon.ended();
    planter.sql({ fault });
    assert.ok(await proving.start());
    await proving.load(500);
    assert.equal((await fetch(`${daemon.admin}/healthz`)).status, 200);
  }
  recordLedger(t, {
    "threads ended": FATAL.length + BORNE.length,
    exits: FATAL.length,
    ...(await proving.settle()),
  });
});

test("a writer that stands still: /healthz says so, nobody hears yes, senders hear 503", {
  timeout: 300_000,
}, async (t) => {
  const proving = await makeProving({ env: { LEAT_LIMITS_COMMIT_WAIT: "2s" } });
  t.after(() => proving.close());
  const { daemon, planter } = proving;
  planter.sql({ fault: writer("hang", "before", 100) });
  assert.ok(await proving.start());
  proving.send();
  await waitFor("/healthz to say no", async () => !(await fetch(`${daemon.admin}/healthz`)).ok, 60_000);
  const promised = proving.senders.promised.size;
  const refused = () => proving.senders.refused.get("503") ?? 0;
  await waitFor("senders to hear 503", () => refused() > 0, 30_000);
  assert.equal(proving.senders.promised.size, promised);
  daemon.signal("SIGKILL");
  await daemon.ended();
  planter.sql({});
  assert.ok(await proving.start());
  await proving.load(100);
  recordLedger(t, { "answered 503 while it stood": refused(), ...(await proving.settle()) });
});
