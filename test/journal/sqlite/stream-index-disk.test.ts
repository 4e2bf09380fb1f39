/**
 * The stream index where its disk has no room for its file to be opened, or to be made anew, or its thread dies: what it
 * has isn't known then, and isn't lost.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { IndexThread, IndexThreadHost } from "../../../src/journal/sqlite/projections-client.ts";
import { Projections } from "../../../src/journal/sqlite/projections-thread.ts";
import { openStorage, type Storage } from "../../../src/journal/sqlite/storage.ts";
import { openStreamIndex } from "../../../src/journal/sqlite/stream-index.ts";
import { frame } from "../../conformance/stream-index.ts";
import { quietLog } from "../../sinks/stream-kit.ts";
import { waitFor } from "../../wait-for.ts";
import { SimulatedClock } from "../simulation/simulated-clock.ts";

const exactA = { exact: ["a"], patterns: [] };
const event = (seq: number) => ({ stream: "s", seq, frames: [frame("a", `${seq}`)] });

/** SQLite's codes. Room is wanted for the memory that processes share. */
const UNUSABLE = {
  "for want of room": 4874,
  "for want of descriptors": 14,
  "for want of memory": 7,
} as const;
const NOT_A_DATABASE = 26;

function sqliteError(errcode: number): Error {
  return Object.assign(new Error(`errcode ${errcode}`), { code: "ERR_SQLITE_ERROR", errcode });
}

/** A file that outlives the threads that have it. */
class Disk {
  /** Why no file can be opened or made. */
  unusable: number | null = null;
  /** The file turns out to be no database. */
  damaged = false;
  readonly clock = new SimulatedClock();
  #file = openStorage({ file: ":memory:" });
  #killThread: () => void = () => {};

  /** Another file is there instead, and empty. */
  lose(): void {
    this.#file = openStorage({ file: ":memory:" });
    this.damaged = false;
  }

  killThread(): void {
    this.#killThread();
  }

  openIndex() {
    const { clock } = this;
    const thread = (host: IndexThreadHost) => this.#thread(host);
    return openStreamIndex({ file: "streams.db", log: quietLog(), clock, thread });
  }

  #thread(host: IndexThreadHost): IndexThread {
    const projections = new Projections({ open: () => this.#open(), setAside: () => this.lose() });
    let ended = false;
    this.#killThread = () => {
      ended = true;
      host.ended();
    };
    return {
      post({ number, request }) {
        setImmediate(() => {
          if (!ended) host.answered(projections.answer(number, request));
        });
      },
      end: async () => {},
    };
  }

  #open(): Storage {
    if (this.unusable !== null) throw sqliteError(this.unusable);
    const file = this.#file;
    return {
      exec: (sql) => file.exec(sql),
      prepare: (sql) => file.prepare(sql),
      prepareLists: (sql) => file.prepareLists(sql),
      begin: (mode) => {
        if (this.damaged) throw sqliteError(NOT_A_DATABASE);
        file.begin(mode);
      },
      commit: () => file.commit(),
      rollback: () => file.rollback(),
      checkpoint: (mode) => file.checkpoint(mode),
      space: () => file.space(),
      sizes: () => file.sizes(),
      hasBallast: () => true,
      createBallast() {},
      releaseBallast() {},
      close() {},
    };
  }
}

for (const [why, errcode] of Object.entries(UNUSABLE)) {
  test(`a file that can't be opened ${why} is not taken for an empty one, or a damaged one`, async () => {
    const disk = new Disk();
    const before = await disk.openIndex();
    await before.write([1, 2, 3].map(event));
    await before.close();

    disk.unusable = errcode;
    const index = await disk.openIndex();
    assert.notEqual(index.problem(), null);
    assert.deepEqual([...index.places()], []);
    const owing = index.owe("s", 5);
    assert.deepEqual(await index.read("s", 1, exactA, 10), { frames: [], through: 1 }, "a reader waits");
    assert.equal(await index.retain("s", Number.MAX_SAFE_INTEGER), 0);

    disk.unusable = null;
    disk.clock.pass(1000);
    await owing;
    assert.equal(index.problem(), null);
    const missing = { after: 3, through: 5 };
    assert.deepEqual(index.places().get("s"), { oldest: 0, newest: 5, missing });
    const page = await index.read("s", 1, exactA, 10);
    assert.deepEqual([page.frames.map(({ seq }) => seq), page.through], [[2, 3], 3]);
    await index.close();
  });
}

test("closed before its file could be opened, it refuses what it was to write", async () => {
  const disk = new Disk();
  disk.unusable = UNUSABLE["for want of room"];
  const index = await disk.openIndex();
  const writing = assert.rejects(index.write([event(1)]), { code: "stream_index_closed" });
  await index.close();
  await writing;
});

test("a file set aside while there is no room for a new one: what it had is missing in the new one", async () => {
  const disk = new Disk();
  const index = await disk.openIndex();
  await index.write([1, 2, 3].map(event));
  let lost = 0;
  index.onLost(() => lost++);

  [disk.damaged, disk.unusable] = [true, UNUSABLE["for want of room"]];
  const writing = index.write([event(4)]);
  await waitFor("the problem to show", () => index.problem() !== null);
  assert.equal(lost, 0);
  disk.unusable = null;
  disk.clock.pass(1000);
  await writing;
  assert.equal(lost, 1);
  const missing = { after: 0, through: 3 };
  assert.deepEqual(index.places().get("s"), { oldest: 0, newest: 4, missing });
  assert.deepEqual(await index.read("s", 1, exactA, 10), { frames: [], through: 1 });
  await index.close();
});

test("a thread that died comes back to what it had", async () => {
  const disk = new Disk();
  const index = await disk.openIndex();
  await index.write([event(1)]);
  disk.killThread();
  await index.write([event(2)]);
  assert.equal((await index.read("s", 0, exactA, 10)).frames.length, 2);
  disk.killThread();
  assert.equal((await index.read("s", 0, exactA, 10)).frames.length, 2);
  await index.close();
});

test("a file that was lost while its thread was dead lacks what it had", async () => {
  const disk = new Disk();
  const index = await disk.openIndex();
  await index.write([1, 2].map(event));
  let lost = 0;
  index.onLost(() => lost++);
  disk.killThread();
  disk.lose();
  await index.write([event(3)]);
  assert.equal(lost, 1);
  const missing = { after: 0, through: 2 };
  assert.deepEqual(index.places().get("s"), { oldest: 0, newest: 3, missing });
  await index.close();
});
