import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createSpace } from "../../../src/journal/sqlite/space.ts";
import { openStorage, type Storage } from "../../../src/journal/sqlite/storage.ts";
import { newFolder } from "./journal-kit.ts";

const MIB = 2 ** 20;

/** A storage of which only the disk's room is asked. */
function disk(room: { free: number; total: number }): Storage {
  let ballast = 0;
  return Object.assign(Object.create(openStorage({ file: ":memory:" })) as Storage, {
    space: () => room,
    hasBallast: (bytes: number) => ballast >= bytes,
    createBallast: (bytes: number) => {
      ballast = bytes;
    },
    releaseBallast: () => {
      ballast = 0;
    },
  });
}

test("room that the log will take in the database isn't free", () => {
  const folder = newFolder();
  const storage = openStorage({ file: join(folder, "some.db") });
  storage.exec("CREATE TABLE t (b BLOB)");
  storage.checkpoint("TRUNCATE");
  const insert = storage.prepare("INSERT INTO t VALUES (zeroblob(1048576))");
  for (let n = 0; n < 32; n++) insert.run();
  const reserved = () => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize - storage.space().free;
  };
  // Others use the disk meanwhile, so not to the byte.
  assert.ok(reserved() > 24 * MIB, `${reserved()}`);
  storage.checkpoint("TRUNCATE");
  assert.ok(reserved() < 8 * MIB, `${reserved()}`);
  storage.close();
});

test("events that might fill the disk are refused before they do; settlements never are", () => {
  const room = { free: 100 * MIB, total: 1000 * MIB };
  const space = createSpace(disk(room), { share: 0, bytes: 0 }, MIB);
  assert.equal(space.takes(8 * MIB), true);
  room.free = 76 * MIB;
  for (let n = 0; n < 3; n++) assert.equal(space.takes(8 * MIB), true, "as far as it was measured last");
  assert.equal(space.takes(8 * MIB), true, "measured anew");
  room.free = 20 * MIB;
  for (let n = 0; n < 2; n++) space.takes(8 * MIB);
  assert.equal(space.takes(8 * MIB), false);
  assert.equal(space.takes(0), true);
  room.free = 500 * MIB;
  assert.equal(space.takes(8 * MIB), true);
});

test("room is wanted before intake has to close, and a new ballast's too", () => {
  const room = { free: 131 * MIB, total: 1000 * MIB };
  const space = createSpace(disk(room), { share: 0.1, bytes: 2 ** 30 }, 10 * MIB);
  assert.deepEqual(
    [space.closed, space.wanted],
    [null, 19 * MIB],
    "a twentieth of the disk above the watermark",
  );
  room.free = 90 * MIB;
  space.check();
  assert.deepEqual([space.closed, space.wanted], ["disk_low", 60 * MIB]);
  space.full();
  space.check();
  assert.deepEqual([space.closed, space.wanted], ["disk_full", 70 * MIB]);
  room.free = 160 * MIB;
  space.check();
  assert.deepEqual([space.closed, space.wanted], [null, 0]);
});
