import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Worker } from "node:worker_threads";
import { LeatError } from "../../../src/errors.ts";
import { DAMAGED_TYPE } from "../../../src/journal/sqlite/event-row.ts";
import { openSqliteJournal } from "../../../src/journal/sqlite/open.ts";
import { PAGE_BYTES } from "../../../src/journal/sqlite/storage.ts";
import { startWriter } from "../../../src/journal/sqlite/writer-client.ts";
import { newEvent } from "../../conformance/log.ts";
import { newFolder, openAt, openOptions, quiet, TUNING } from "./journal-kit.ts";

function coded(kind: string, code: string) {
  return (error: unknown) => {
    assert.ok(error instanceof LeatError, String(error));
    assert.deepEqual([error.kind, error.code], [kind, code]);
    assert.ok((error.hint ?? "") !== "", "it says what to do");
    return true;
  };
}

async function filled(path: string, count: number): Promise<number[]> {
  const { journal, close } = await openAt(path);
  const appended = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      journal.log.append(newEvent({ body: Buffer.alloc(2000, `${n} `) }), null),
    ),
  );
  await close();
  return appended.map(({ seq }) => seq);
}

/** Changes a file's bytes where `find` first occurs. */
function damage(file: string, find: string, change: (at: number, bytes: Buffer) => void): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(find);
  assert.notEqual(at, -1);
  change(at, bytes);
  writeFileSync(file, bytes);
}

test("the folder is made with mode 0700 and holds the files that ARCHITECTURE.md names", async () => {
  const path = join(newFolder(), "deep", "data");
  const { close } = await openAt(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(readFileSync(join(path, "VERSION"), "utf8"), "1\n");
  await close();
  assert.deepEqual(readdirSync(path).sort(), [
    "VERSION",
    "ballast",
    "boot",
    "journal.db",
    "lock.db",
    "streams.db",
  ]);
});

test("a second opening of the same folder is refused at once, in this process and in another", async () => {
  const path = newFolder();
  const { close } = await openAt(path);
  await assert.rejects(openSqliteJournal(openOptions(path)), coded("damaged", "journal_locked"));
  const kit = new URL("journal-kit.ts", import.meta.url).href;
  const child = spawn(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `const { openAt } = await import(${JSON.stringify(kit)});
       await openAt(${JSON.stringify(path)}).catch((error) => { console.log(error.code, error.message); process.exit(7) })`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let out = "";
  child.stdout.on("data", (text) => {
    out += text;
  });
  await once(child, "close");
  assert.equal(child.exitCode, 7);
  assert.match(out, new RegExp(`^journal_locked .*pid ${process.pid}`));
  await close();
  const again = await openAt(path);
  await again.close();
});

test("a folder written by a newer Leat is refused and not touched", async () => {
  const path = newFolder();
  writeFileSync(join(path, "VERSION"), "99\n");
  await assert.rejects(openSqliteJournal(openOptions(path)), coded("damaged", "journal_newer"));
  assert.equal(readFileSync(join(path, "VERSION"), "utf8"), "99\n");
  assert.ok(!readdirSync(path).includes("journal.db"));
});

test("a database written by a newer Leat is refused", async () => {
  const path = newFolder();
  await filled(path, 1);
  const database = new DatabaseSync(join(path, "journal.db"));
  database.exec("PRAGMA user_version = 99");
  database.close();
  await assert.rejects(openSqliteJournal(openOptions(path)), coded("damaged", "journal_newer"));
});

test("a file that is no database is reported and not overwritten", async () => {
  const path = newFolder();
  writeFileSync(join(path, "journal.db"), "this is a letter to my aunt, and no database at all\n".repeat(50));
  const before = readFileSync(join(path, "journal.db"));
  await assert.rejects(openSqliteJournal(openOptions(path)), coded("damaged", "journal_damaged"));
  assert.ok(readFileSync(join(path, "journal.db")).equals(before));
});

test("a database with a destroyed page is reported and not overwritten", async () => {
  const path = newFolder();
  await filled(path, 500);
  const file = join(path, "journal.db");
  const bytes = readFileSync(file);
  // The head of a page in the middle.
  const page = Math.floor(bytes.length / PAGE_BYTES / 2) * PAGE_BYTES;
  bytes.fill(0xff, page, page + 64);
  writeFileSync(file, bytes);
  await assert.rejects(openSqliteJournal(openOptions(path)), coded("damaged", "journal_damaged"));
  assert.ok(readFileSync(file).equals(bytes));
});

test("a flipped bit in an event is found: get rejects, a page shows a placeholder, the others are served", async () => {
  const path = newFolder();
  const seqs = await filled(path, 20);
  damage(join(path, "journal.db"), "7 7 7 7 7 7 7 7 ", (at, bytes) => {
    bytes[at + 4] = (bytes[at + 4] ?? 0) ^ 1;
  });
  const { journal, close } = await openAt(path);
  try {
    await assert.rejects(journal.log.get(seqs[7] ?? 0), coded("damaged", "damaged_row"));
    const events = await journal.log.read(0, 100);
    assert.deepEqual(
      events.map(({ seq }) => seq),
      seqs,
    );
    assert.deepEqual(
      events.filter(({ type }) => type === DAMAGED_TYPE).map(({ seq, body }) => [seq, body.byteLength]),
      [[seqs[7], 0]],
    );
    assert.deepEqual(journal.health().notes, ["1 event is damaged on disk."]);
    assert.equal(journal.metrics().damagedEvents, 1);
  } finally {
    await close();
  }
});

test("a path that can't be a folder is a configuration error", async () => {
  const file = join(newFolder(), "file");
  writeFileSync(file, "");
  await assert.rejects(
    openSqliteJournal(openOptions(join(file, "data"))),
    coded("configuration", "journal_path"),
  );
});

test("J5: numbering starts at the time of creation in microseconds, so that a new journal repeats no seq", async () => {
  const now = Date.now() * 1000;
  const [first] = await filled(newFolder(), 1);
  assert.ok(first !== undefined && first > now && first < now + 60e6);
});

test("an opening that fails late ends every thread it began, lets others in, and hides no unclean stop", async (t) => {
  const path = newFolder();
  await filled(path, 1);
  const edit = (sql: string) => {
    const database = new DatabaseSync(join(path, "journal.db"));
    database.exec(sql);
    database.close();
  };
  // Read only once the writer, both readers, the checkpoints and the projections have their threads.
  edit("INSERT INTO sink VALUES ('broken', '{'); UPDATE meta SET value = 0 WHERE name = 'clean'");
  const threads: Worker[] = [];
  const began = (worker: Worker) => threads.push(worker);
  process.on("worker", began);
  t.after(() => process.off("worker", began));
  await assert.rejects(openSqliteJournal(openOptions(path)), SyntaxError);
  assert.equal(threads.length, 5);
  assert.deepEqual(
    threads.map(({ threadId }) => threadId),
    threads.map(() => -1),
    "a thread that has ended has no id",
  );
  edit("DELETE FROM sink");
  const warned: string[] = [];
  const again = await openAt(path, {
    log: { ...quiet, warn: (...said) => warned.push(String(said.at(-1))) },
  });
  assert.match(warned.join(), /not closed cleanly/);
  await again.close();
});

test("the death of the writer's thread is told", async () => {
  const folder = newFolder();
  const writer = await startWriter({
    file: join(folder, "journal.db"),
    tuning: TUNING,
    watermark: { share: 0, bytes: 0 },
    ballastBytes: 1024,
    seed: 1,
    now: Date.now(),
  });
  const died = new Promise<Error>((resolve) => writer.listen(() => {}, resolve));
  // Something that no writer can handle: what a defect in it would look like.
  writer.post({ kind: "group" } as never, []);
  coded("storage", "writer_ended")(await died);
  await writer.ended();
});

test("what is on disk is read as what was in memory", async () => {
  const path = newFolder();
  const { journal, reopen } = await openAt(path);
  await Promise.all(
    Array.from({ length: 700 }, (_, n) => journal.log.append(newEvent({ source: `s${n % 7}` }), null)),
  );
  const live = await readAll(journal.log, ["s3", "s5"]);
  const all = await readAll(journal.log);
  const again = await reopen();
  assert.deepEqual(await readAll(again.journal.log, ["s3", "s5"]), live);
  assert.deepEqual(await readAll(again.journal.log), all);
  assert.equal(live.length, 200);
  assert.equal(all.length, 700);
  await again.close();
});

async function readAll(log: import("../../../src/journal/journal.ts").Log, sources?: string[]) {
  const found: [number, string, string][] = [];
  for (;;) {
    const page = await log.read(found.at(-1)?.[0] ?? log.bounds().oldest - 1, 64, sources);
    if (page.length === 0) return found;
    for (const { seq, id, body } of page) found.push([seq, id, Buffer.from(body).toString()]);
  }
}
