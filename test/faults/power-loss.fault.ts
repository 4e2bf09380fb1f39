/**
 * J1 against a power loss: the daemon is stopped under load, its disk copied as it is, and the copy is what it finds
 * afterwards. With commits that don't wait for the disk the same run has to lose events: it proves itself by that.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { debuglog } from "node:util";
import { recordLedger } from "./ledger.ts";
import { type Disk, mountLoopDisk } from "./loop-disk.ts";
import { makeProving, type Proving } from "./proving.ts";

const CYCLES = Number(process.env.LEAT_CYCLES ?? 50);
const CONTROL_CYCLES = Math.ceil(CYCLES / 5);
const DISK_BYTES = 512 * 2 ** 20;
const debug = debuglog("faults");

test(`loses nothing over ${CYCLES} power losses`, { timeout: 1_200_000 }, async (t) => {
  const { proving, disk } = await onDisk();
  t.after(() => proving.close());
  assert.ok(await proving.start());
  proving.send();
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await load(proving, 200);
    await cutPower(proving, disk);
    assert.ok(await proving.start());
    const lost = lostOf(proving);
    debug("cycle %d: %d promised, %d lost", cycle, proving.senders.promised.size, lost.length);
    assert.deepEqual(lost, [], `cycle ${cycle}`);
    assert.equal(ask(proving, "PRAGMA integrity_check")[0], "ok");
  }
  await load(proving, 200);
  recordLedger(t, { "power losses": CYCLES, ...(await proving.settle()) });
});

test("the same loses events when commits don't wait for the disk: the run can tell", {
  timeout: 600_000,
}, async (t) => {
  const { proving, disk } = await onDisk();
  t.after(() => proving.close());
  // The first start is sound, so that there is a journal to lose from.
  assert.ok(await proving.start());
  proving.daemon.signal("SIGTERM");
  assert.equal(await proving.daemon.ended(), 0);
  proving.planter.sql({ neverSynced: true });
  let [lost, refused, promised] = [0, 0, 0];
  for (let cycle = 0; cycle < CONTROL_CYCLES && refused === 0; cycle++) {
    assert.ok(await proving.start());
    proving.send();
    await load(proving, 200);
    await cutPower(proving, disk);
    promised = proving.senders.promised.size;
    try {
      assert.ok(await proving.start());
      lost = lostOf(proving).length;
      debug("control %d: %d promised, %d lost", cycle, promised, lost);
      await proving.daemon.end();
    } catch (error) {
      if (!String(error).includes("it ended with 3")) throw error;
      refused++;
    }
  }
  await proving.senders.stop();
  recordLedger(t, {
    "power losses": CONTROL_CYCLES,
    "answered 2xx": promised,
    lost,
    "starts refused": refused,
  });
  assert.ok(lost > 0, "without waiting for the disk there is loss, and it is seen");
});

async function onDisk(): Promise<{ proving: Proving; disk: Disk }> {
  let disk: Disk | null = null;
  const proving = await makeProving({
    prepare(folder) {
      disk = mountLoopDisk(join(folder, "data"), DISK_BYTES);
    },
    cleanUp: () => disk?.remove(),
  });
  if (disk === null) throw new Error("no disk");
  return { proving, disk };
}

async function load(proving: Proving, events: number): Promise<void> {
  await proving.load(events);
  // Anywhere between two commits.
  await sleep(Math.random() * 100);
}

/** Whatever was answered before the process stood still is in the copy, or was promised in vain. */
async function cutPower({ daemon }: Proving, disk: Disk): Promise<void> {
  daemon.signal("SIGSTOP");
  disk.copy();
  daemon.signal("SIGKILL");
  assert.equal(await daemon.ended(), "SIGKILL");
  disk.powerLoss();
  // The machine has been started anew, as the journal sees it.
  rmSync(join(daemon.folder, "data", "boot"), { force: true });
}

/** The ids that were promised and are not in the journal. */
function lostOf(proving: Proving): string[] {
  const kept = new Set(ask(proving, "SELECT id FROM event"));
  return [...proving.senders.promised.keys()].filter((id) => !kept.has(id));
}

/** The first column of every row. */
function ask({ daemon }: Proving, sql: string): unknown[] {
  const database = new DatabaseSync(join(daemon.folder, "data", "journal.db"), { readOnly: true });
  try {
    return database
      .prepare(sql)
      .all()
      .map((row) => Object.values(row)[0]);
  } finally {
    database.close();
  }
}
