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
import type { SeededChance } from "../journal/simulation/chance.ts";
import { recordLedger } from "./ledger.ts";
import { type Disk, mountLoopDisk } from "./loop-disk.ts";
import { makeProving, type Proving } from "./proving.ts";
import { seeded } from "./seed.ts";

const CYCLES = Number(process.env.LEAT_CYCLES ?? 50);
/** Of the power losses without synced commits, this share at least has to show. */
const LEAST_SEEN = 0.9;
const DISK_BYTES = 512 * 2 ** 20;
const debug = debuglog("faults");

test(`loses nothing over ${CYCLES} power losses`, { timeout: 1_200_000 }, async (t) => {
  const { seed, chance } = seeded(t);
  const { proving, disk } = await onDisk();
  t.after(() => proving.close());
  assert.ok(await proving.start());
  proving.send();
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await load(proving, chance);
    await cutPower(proving, disk);
    assert.ok(await proving.start());
    const lost = lostOf(proving);
    debug("cycle %d: %d promised, %d lost", cycle, proving.senders.promised.size, lost.length);
    assert.deepEqual(lost, [], `cycle ${cycle}`);
    assert.equal(ask(proving, "PRAGMA integrity_check")[0], "ok");
  }
  await proving.load(200);
  recordLedger(t, { seed, "power losses": CYCLES, ...(await proving.settle()) });
});

test("the same loses events when commits don't wait for the disk: the run can tell", {
  timeout: 1_800_000,
}, async (t) => {
  const { seed, chance } = seeded(t);
  const { proving, disk } = await onDisk();
  t.after(() => proving.close());
  // The first start is sound, so that there is a journal to lose from.
  assert.ok(await proving.start());
  proving.daemon.signal("SIGTERM");
  assert.equal(await proving.daemon.ended(), 0);
  proving.planter.sql({ neverSynced: true });
  let [cycles, lossy, refused, lost] = [0, 0, 0, 0];
  // A start that is refused has seen the loss too, but leaves nothing to go on with.
  for (; cycles < CYCLES && refused === 0; cycles++) {
    assert.ok(await proving.start());
    proving.send();
    await load(proving, chance);
    await cutPower(proving, disk);
    try {
      assert.ok(await proving.start());
      const before = lost;
      lost = lostOf(proving).length;
      if (lost > before) lossy++;
      debug("control %d: %d promised, %d lost", cycles, proving.senders.promised.size, lost);
      await proving.daemon.end();
    } catch (error) {
      if (!String(error).includes("it ended with 3")) throw error;
      refused++;
    }
  }
  await proving.senders.stop();
  recordLedger(t, {
    seed,
    "power losses": cycles,
    "of these seen by their loss": lossy,
    "starts refused": refused,
    "answered 2xx": proving.senders.promised.size,
    lost,
  });
  assert.ok(lost > 0, "without waiting for the disk there is loss, and it is seen");
  // Not each: a checkpoint syncs the log, and one may have come just before.
  assert.ok(lossy + refused >= LEAST_SEEN * cycles, `${lossy} of ${cycles} power losses were seen`);
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

async function load(proving: Proving, chance: SeededChance): Promise<void> {
  await proving.load(200);
  // Anywhere between two commits.
  await sleep(chance.random() * 100);
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
