import assert from "node:assert/strict";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LeatError } from "../../src/errors.ts";
import { openStreamIndex } from "../../src/journal/sqlite/stream-index.ts";
import { frame, type OpenedIndex, streamIndexConformance } from "../conformance/stream-index.ts";
import { quietLog } from "../sinks/stream-kit.ts";
import { waitFor } from "../wait-for.ts";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-streams-"));
  folders.push(folder);
  return join(folder, "streams.db");
}

const exactA = { exact: ["a"], patterns: [] };

async function openAt(file: string): Promise<OpenedIndex> {
  const index = await openStreamIndex({ file, log: quietLog() });
  return {
    index,
    close: () => index.close(),
    async reopen() {
      await index.close();
      return openAt(file);
    },
  };
}

streamIndexConformance("sqlite", () => openAt(newFile()));

test("a damaged file is set aside and made anew", async () => {
  const file = newFile();
  writeFileSync(file, Buffer.alloc(100_000, "not a database "));
  const log = quietLog();
  const index = await openStreamIndex({ file, log });
  await index.write([{ stream: "s", seq: 9, frames: [frame("a", "v")] }]);
  assert.equal((await index.read("s", 8, exactA, 10)).frames.length, 1);
  assert.ok(existsSync(`${file}.damaged`));
  assert.match(log.lines.join("\n"), /set aside/);
  assert.deepEqual([...index.places()], [["s", { oldest: 8, newest: 9, missing: null }]]);
  await index.close();
});

/** Frames of more than the thread keeps in memory, so that what is read comes from the file. */
async function filled(file: string) {
  const index = await openStreamIndex({ file, log: quietLog() });
  const body = "x".repeat(5000);
  for (let first = 0; first < 4000; first += 500) {
    await index.write(
      Array.from({ length: 500 }, (_, at) => ({
        stream: "s",
        seq: first + at + 1,
        frames: [frame("a", body)],
      })),
    );
  }
  return index;
}

function damage(file: string): void {
  const fd = openSync(file, "r+");
  for (let page = 3; page < 300; page++) {
    writeSync(fd, Buffer.alloc(16_384, 0xa5), 0, 16_384, page * 16_384);
  }
  closeSync(fd);
}

for (const when of ["between two runs", "while it is open"]) {
  test(`a file damaged ${when} is told of, and what it had is missing until it is written again`, async () => {
    const file = newFile();
    let index = await filled(file);
    if (when === "while it is open") damage(file);
    else {
      await index.close();
      damage(file);
      index = await openStreamIndex({ file, log: quietLog() });
    }
    assert.deepEqual(await index.bounds("s"), { oldest: 0, newest: 4000 });
    let lost = 0;
    index.onLost(() => lost++);
    assert.deepEqual((await index.read("s", 100, exactA, 100)).frames, []);
    assert.equal(lost, 1);
    const missing = { after: 0, through: 4000 };
    assert.deepEqual(index.places().get("s"), { oldest: 0, newest: 4000, missing });
    await index.write([{ stream: "s", seq: 4001, frames: [frame("a", "v")] }]);
    assert.deepEqual(await index.read("s", 100, exactA, 100), { frames: [], through: 100 });
    assert.equal((await index.read("s", 4000, exactA, 100)).frames.length, 1);
    await index.fill([{ stream: "s", seq: 101, frames: [frame("a", "again")] }], {
      stream: "s",
      after: 0,
      through: 4000,
    });
    const page = await index.read("s", 100, exactA, 100);
    assert.deepEqual([page.frames.map(({ seq }) => seq), page.through], [[101, 4001], 4001]);
    await index.close();
  });
}

test("a frame that isn't as it was written is given to nobody: the file is set aside", async () => {
  for (const change of [
    "body = x'00'",
    "channel = 'b'",
    "type = 'u'",
    "id = 'other'",
    "time = time + 1",
    "seq = 3",
  ]) {
    const file = newFile();
    let index = await openStreamIndex({ file, log: quietLog() });
    await index.write([1, 2].map((seq) => ({ stream: "s", seq, frames: [frame("a", "v")] })));
    await index.close();
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(file);
    database.exec(`UPDATE frame SET ${change} WHERE seq = 2`);
    database.close();
    index = await openStreamIndex({ file, log: quietLog() });
    await index.write([{ stream: "s", seq: 3, frames: [] }]);
    const anyone = { exact: [], patterns: ["*"] };
    const { frames } = await index.read("s", 0, anyone, 10);
    assert.deepEqual(frames, [], change);
    assert.ok(existsSync(`${file}.damaged`), change);
    assert.deepEqual(index.places().get("s")?.missing, { after: 0, through: 3 });
    await index.close();
  }
});

test("a file of another version is set aside", async () => {
  const file = newFile();
  const { DatabaseSync } = await import("node:sqlite");
  const other = new DatabaseSync(file);
  other.exec("PRAGMA user_version = 77; CREATE TABLE later (x)");
  other.close();
  const index = await openStreamIndex({ file, log: quietLog() });
  await index.write([{ stream: "s", seq: 1, frames: [] }]);
  assert.ok(existsSync(`${file}.damaged`));
  await index.close();
});

test("on a full disk writes wait, readers go on, and writes go on by themselves", async () => {
  const file = newFile();
  const log = quietLog();
  const index = await openStreamIndex({ file, log });
  await index.write([{ stream: "s", seq: 1, frames: [frame("a", "v")] }]);
  await index.limitPages(1);
  let done = false;
  const body = "x".repeat(200_000);
  const write = index.write([{ stream: "s", seq: 2, frames: [frame("a", body)] }]).then(() => {
    done = true;
  });
  await waitFor("the problem to show", () => index.problem() !== null);
  assert.equal(done, false);
  assert.equal((await index.read("s", 0, exactA, 10)).frames.length, 1);
  assert.deepEqual(await index.bounds("s"), { oldest: 0, newest: 1 });
  await index.limitPages(100_000);
  await write;
  assert.equal(index.problem(), null);
  assert.equal((await index.read("s", 1, exactA, 10)).frames[0]?.body.byteLength, 200_000);
  await index.close();
});

test("closed while the disk is full, it refuses what it couldn't write and all behind it, and keeps the rest", async () => {
  const file = newFile();
  const index = await openStreamIndex({ file, log: quietLog() });
  await index.write([{ stream: "s", seq: 1, frames: [frame("a", "v")] }]);
  await index.limitPages(1);
  const write = index.write([{ stream: "s", seq: 2, frames: [frame("a", "x".repeat(200_000))] }]);
  const closed = (error: unknown) => error instanceof LeatError && error.code === "stream_index_closed";
  const refused = assert.rejects(write, closed);
  await waitFor("the problem to show", () => index.problem() !== null);
  // There would be room for this one.
  const behind = assert.rejects(index.begin("s", 2), closed);
  await index.close();
  await refused;
  await behind;
  const again = await openStreamIndex({ file, log: quietLog() });
  assert.deepEqual(await again.bounds("s"), { oldest: 0, newest: 1 });
  await again.close();
});

test("a folder that isn't there is a problem to show, not a failure", async () => {
  const file = join(newFile(), "..", "missing", "streams.db");
  const index = await openStreamIndex({ file, log: quietLog() });
  assert.notEqual(index.problem(), null);
  assert.deepEqual(await index.read("s", 4, exactA, 10), { frames: [], through: 4 });
  await index.close();
});

test("many small writes are gathered into few commits", async () => {
  const index = await openStreamIndex({ file: newFile(), log: quietLog() });
  const writes = Array.from({ length: 3000 }, (_, at) =>
    index.write([{ stream: "s", seq: at + 1, frames: [frame("a", `${at}`)] }]),
  );
  await Promise.all(writes);
  assert.equal((await index.bounds("s")).newest, 3000);
  await index.close();
});
