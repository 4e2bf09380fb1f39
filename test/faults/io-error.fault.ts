/**
 * A disk that fails a write or an fsync with EIO, once or from then on. What the kernel did with the pages is unknown, so
 * the commit is never tried again: the daemon leaves with exit code 4, and the next start finds all that it promised.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { recordLedger } from "./ledger.ts";
import { type DiskFault, EIO } from "./plant.ts";
import { makeProving } from "./proving.ts";

const log = (call: DiskFault["call"], nth: number, times: number): DiskFault => ({
  file: "/data/journal.db-wal",
  call,
  nth,
  does: EIO,
  times,
});

/** Each ends the daemon; counts are reached under load, or at the start. */
const FATAL: readonly DiskFault[] = [
  log("write", 300, 1),
  log("sync", 60, 1),
  log("write", 500, 0),
  log("sync", 100, 0),
  log("write", 1, 1),
  log("sync", 1, 1),
];
/** The log still has what a failed checkpoint should have moved, and the stream index is a projection: it goes on. */
const BORNE: readonly DiskFault[] = [
  { file: "/data/journal.db", call: "write", nth: 5, does: EIO, times: 3 },
  { file: "/data/journal.db", call: "sync", nth: 1, does: EIO, times: 3 },
  { file: "/data/streams.db-wal", call: "write", nth: 100, does: EIO, times: 1 },
];

test("a write or fsync of the log that fails ends the daemon with 4, and nothing promised is lost", {
  timeout: 600_000,
}, async (t) => {
  const proving = await makeProving();
  t.after(() => proving.close());
  const { daemon, planter } = proving;
  assert.ok(await proving.start());
  proving.send();
  for (const [index, fault] of FATAL.entries()) {
    await proving.load(100);
    daemon.signal("SIGKILL");
    await daemon.ended();
    planter.disk(fault);
    daemon.launch();
    assert.equal(
      await daemon.ended(),
      4,
      `${index} ${JSON.stringify(fault)}: ${daemon.output().slice(-2000)}`,
    );
    assert.match(daemon.output().slice(-4000), /could not be written|journal_lost|Check the disk/);
    planter.disk(null);
    const doubt = join(daemon.folder, "data", "doubt");
    assert.ok(existsSync(doubt), "the next start must not trust what the kernel has");
    assert.ok(await proving.start());
    assert.ok(!existsSync(doubt));
  }
  await proving.load(100);
  recordLedger(t, { "I/O errors": FATAL.length, "exits with 4": FATAL.length, ...(await proving.settle()) });
});

test("what isn't the log may fail: a checkpoint, the stream index; the daemon goes on", {
  timeout: 600_000,
}, async (t) => {
  const proving = await makeProving();
  t.after(() => proving.close());
  const { daemon, planter } = proving;
  let promised = 0;
  for (const fault of BORNE) {
    planter.disk(fault);
    assert.ok(await proving.start());
    proving.send({ bytes: 8000 });
    // Enough for a checkpoint or two.
    await proving.load(3000);
    promised = proving.senders.promised.size;
    assert.equal((await fetch(`${daemon.admin}/readyz`)).status, 200);
    daemon.signal("SIGKILL");
    await daemon.ended();
  }
  planter.disk(null);
  assert.ok(await proving.start());
  await proving.load(100);
  assert.ok(promised > 0);
  recordLedger(t, { "I/O errors": BORNE.length, ...(await proving.settle({ gapsAreFine: true })) });
});
