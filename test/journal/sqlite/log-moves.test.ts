/** When the writer moves what is left of the WAL, so that it begins anew: with a real file, and another connection that moves most of it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Group } from "../../../src/journal/sqlite/group.ts";
import { noLedger } from "../../../src/journal/sqlite/ledger-port.ts";
import { EventPacker } from "../../../src/journal/sqlite/packed-events.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage, PAGE_BYTES } from "../../../src/journal/sqlite/storage.ts";
import { WriterHost } from "../../../src/journal/sqlite/writer-host.ts";
import { newEvent } from "../../conformance/log.ts";
import { newFolder, TUNING } from "./journal-kit.ts";

const MIB = 1024 * 1024;

function groupOf(mib: number): Group {
  const packer = new EventPacker();
  for (let n = 0; n < mib; n++) packer.add(newEvent({ body: new Uint8Array(MIB) }), 0, null);
  const appends = packer.pack();
  return { number: 1, now: 0, retry: false, appends, raisedFrom: mib, deltas: [], sinks: [], refusals: [] };
}

function world() {
  const file = join(newFolder(), "journal.db");
  const storage = openStorage({ file });
  migrate(storage, 0);
  const watermark = { share: 0.001, bytes: MIB };
  const host = new WriterHost({
    storage,
    ledger: noLedger,
    tuning: TUNING,
    watermark,
    ballastBytes: 0,
    seed: 1,
  });
  const [reader, mover] = [openStorage({ file }), openStorage({ file })];
  const write = (mib: number) => {
    for (let left = mib; left > 0; left -= 8) host.commit([groupOf(Math.min(8, left))]);
  };
  return {
    write,
    /** As the checkpoint thread does it, while so much more is written. */
    moveMeanwhile(mib: number) {
      reader.exec("BEGIN; SELECT count(*) FROM event");
      write(mib);
      mover.checkpoint("PASSIVE");
      reader.exec("COMMIT");
    },
    /** As the writer's thread does between two commits. */
    look: () => host.checkpoint(),
    /** MiB in the WAL, since it last began anew. */
    size() {
      write(1);
      return (storage.checkpoint("NOOP").frames * PAGE_BYTES) / MIB;
    },
    end() {
      for (const one of [reader, mover, storage]) one.close();
    },
  };
}

test("the writer moves what came while most of the WAL was moved: the more, the larger the WAL has grown", () => {
  const { write, moveMeanwhile, look, size, end } = world();
  write(62);
  moveMeanwhile(10);
  look();
  assert.ok(size() > 72, "more than a tenth of it isn't moved");
  write(40);
  moveMeanwhile(10);
  look();
  assert.ok(size() < 2, "it has begun anew");
  end();
});

test("it is looked once so much was written, though it were in few commits", () => {
  const { write, moveMeanwhile, look, size, end } = world();
  write(72);
  moveMeanwhile(4);
  look();
  assert.ok(size() < 2, "it has begun anew");
  write(72);
  look();
  moveMeanwhile(4);
  look();
  assert.ok(size() > 76, "after little it isn't looked again");
  end();
});
