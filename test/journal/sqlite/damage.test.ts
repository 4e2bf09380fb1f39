/** A journal whose files were damaged, emptied or lost is refused and left as it is; one that was cut off goes on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { LeatError } from "../../../src/errors.ts";
import { openChecked } from "../../../src/journal/sqlite/check.ts";
import { leaveDoubt } from "../../../src/journal/sqlite/doubt.ts";
import { openSqliteJournal } from "../../../src/journal/sqlite/open.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage, PAGE_BYTES } from "../../../src/journal/sqlite/storage.ts";
import { walState } from "../../../src/journal/sqlite/wal-check.ts";
import { newEvent } from "../../conformance/log.ts";
import { newFolder, openAt, openOptions } from "./journal-kit.ts";

const CHILD = new URL("append-child.ts", import.meta.url).pathname;
const PAGE = PAGE_BYTES;
const FRAME = 24 + PAGE;

/** A journal's folder as a kill -9 left it, with commits in its log. */
const killed = newFolder();
/** The highest seq that was acknowledged in it. */
let acknowledged = 0;

before(async () => {
  const child = spawn(process.execPath, [CHILD, killed, "run"], { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    out += text;
    if (out.length > 20_000) child.kill("SIGKILL");
  });
  await once(child, "close");
  for (const line of out.split("\n").slice(1, -1))
    acknowledged = Math.max(acknowledged, Number(line.split(" ")[0]));
  assert.ok(statSync(join(killed, "journal.db-wal")).size > 10 * FRAME);
});

function copyOfKilled(): string {
  return copyOf(killed);
}

function copyOf(folder: string): string {
  const path = newFolder();
  cpSync(folder, path, { recursive: true });
  return path;
}

/** By checksum. `-shm` is left out: SQLite makes it anew from the log. */
function contents(path: string): Map<string, number> {
  const names = readdirSync(path).filter((name) => /^(journal|streams)\.db(-wal)?$|^VERSION/.test(name));
  return new Map(names.sort().map((name) => [name, crc32(readFileSync(join(path, name)))]));
}

async function refused(path: string, kind: string, code: string, says: RegExp): Promise<void> {
  const found = contents(path);
  await assert.rejects(openSqliteJournal(openOptions(path)), (error: unknown) => {
    assert.ok(error instanceof LeatError, String(error));
    assert.deepEqual([error.kind, error.code], [kind, code]);
    assert.match(error.message, says);
    assert.ok((error.hint ?? "") !== "", "it says what to do");
    return true;
  });
  assert.deepEqual(contents(path), found, "nothing was touched");
}

async function opensWith(path: string, least: number): Promise<void> {
  const { journal, close } = await openAt(path);
  assert.ok(journal.log.bounds().newest >= least);
  await close();
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

test("what kill -9 left is opened with all that was acknowledged", async () => {
  await opensWith(copyOfKilled(), acknowledged);
});

test("journal.db emptied or gone is refused while its log or VERSION is there", async () => {
  const emptied = copyOfKilled();
  truncateSync(join(emptied, "journal.db"));
  await refused(emptied, "damaged", "journal_damaged", /is empty, but/);
  rmSync(join(emptied, "VERSION"));
  await refused(emptied, "damaged", "journal_damaged", /journal\.db-wal is there/);

  const gone = copyOfKilled();
  rmSync(join(gone, "journal.db"));
  await refused(gone, "damaged", "journal_damaged", /is missing, but/);

  const stopped = copyOfKilled();
  await opensWith(stopped, acknowledged);
  truncateSync(join(stopped, "journal.db"));
  await refused(stopped, "damaged", "journal_damaged", /is empty, but/);
  rmSync(join(stopped, "VERSION"));
  await refused(stopped, "damaged", "journal_damaged", /streams\.db is there/);
});

test("a log that is gone with the tables in it is noticed", async () => {
  const path = copyOfKilled();
  const wal = join(path, "journal.db-wal");
  rmSync(wal);
  await refused(path, "damaged", "journal_damaged", /no tables/);
});

test("a damaged journal.db with a whole log beside it is refused, and the log is not moved into it", async () => {
  const path = copyOfKilled();
  await opensWith(path, acknowledged);
  const file = join(path, "journal.db");
  const log = copyOfKilled();
  const db = new DatabaseSync(file);
  db.exec("PRAGMA wal_autocheckpoint = 0; UPDATE meta SET value = 0 WHERE name = 'clean'");
  for (const end of ["", "-wal"]) cpSync(file + end, join(log, `journal.db${end}`));
  db.close();
  const copy = join(log, "journal.db");
  const bytes = readFileSync(copy);
  const page = Math.floor(bytes.length / PAGE / 2) * PAGE;
  bytes.fill(0xff, page, page + 64);
  writeFileSync(copy, bytes);
  rmSync(`${copy}-shm`, { force: true });
  assert.ok(statSync(`${copy}-wal`).size > 0);
  await refused(log, "damaged", "journal_damaged", /damaged/);
});

test("a flipped bit in the log is refused: in its header, in a frame's header, in a page", async () => {
  for (const [at, says] of [
    [17, /header of journal\.db-wal/],
    [32 + 3 * FRAME + 9, /from frame 4 on/],
    [32 + 5 * FRAME + 24 + 5000, /from frame 6 on/],
  ] as const) {
    const path = copyOfKilled();
    flip(join(path, "journal.db-wal"), at);
    await refused(path, "damaged", "journal_damaged", says);
  }
});

test("a log whose last commit was cut off is opened", async () => {
  const path = copyOfKilled();
  const wal = join(path, "journal.db-wal");
  truncateSync(wal, statSync(wal).size - 100);
  await opensWith(path, 1);
});

/** The log of a small database, of `commits` commits in its present use, after a longer earlier one. */
function reusedLog(commits: number): { database: string; end: number; frame: number } {
  const from = join(newFolder(), "a.db");
  const database = join(newFolder(), "a.db");
  const db = new DatabaseSync(from);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)");
  for (let n = 0; n < 20; n++) db.exec(`INSERT INTO t VALUES (${n})`);
  db.exec("PRAGMA wal_checkpoint(RESTART)");
  for (let n = 0; n < commits; n++) db.exec(`INSERT INTO t VALUES (${n})`);
  const page = Number(db.prepare("PRAGMA page_size").get()?.page_size);
  const used = Number(db.prepare("PRAGMA wal_checkpoint(NOOP)").get()?.log);
  for (const end of ["-wal", "-shm"]) cpSync(from + end, database + end);
  db.close();
  return { database, end: 32 + used * (24 + page), frame: 24 + page };
}

test("frames of the log's earlier use behind its end are no damage, a broken one before it is", () => {
  const { database, end, frame } = reusedLog(5);
  assert.ok(statSync(`${database}-wal`).size > end);
  assert.deepEqual(walState(database), { damage: null, torn: false });
  flip(`${database}-wal`, end - 3 * frame + 100);
  assert.match(walState(database).damage ?? "", /at least 3 commits/);
});

test("a last commit that SQLite had counted is damage when it is broken; one it had not was cut off", () => {
  const { database, end, frame } = reusedLog(5);
  const before = reusedLog(5);
  flip(`${database}-wal`, end - frame + 100);
  assert.match(walState(database).damage ?? "", /at least 1 commits/);

  // The count of one commit less, as if the process had ended between a frame's header and its page.
  flip(`${before.database}-wal`, before.end - before.frame + 100);
  const shm = readFileSync(`${before.database}-shm`);
  for (const at of [16, 64]) shm.writeUInt32LE(shm.readUInt32LE(at) - 1, at);
  writeFileSync(`${before.database}-shm`, shm);
  assert.deepEqual(walState(before.database), { damage: null, torn: true });
});

test("after a boot the last few commits may be torn, as a power loss does; more than were ever unsynced may not", async () => {
  for (const boot of [null, "another boot\n"]) {
    const path = copyOfKilled();
    const wal = join(path, "journal.db-wal");
    const frames = Math.floor((statSync(wal).size - 32) / FRAME);
    // Its first page never reached the disk, its last did; and -shm is what a file system makes of one that was mapped.
    const torn = lastCommit(wal, frames);
    overwrite(wal, 32 + (torn.first - 1) * FRAME + 24, Buffer.alloc(PAGE));
    rmSync(join(path, "journal.db-shm"), { force: true });
    await refused(path, "damaged", "journal_damaged", /at least 1 commits/);

    if (boot === null) rmSync(join(path, "boot"));
    else writeFileSync(join(path, "boot"), boot);
    const lost = copyOf(path);
    // What the torn one left behind the log's end must not be taken for damage after the next kill -9.
    const storage = openChecked(join(path, "journal.db"));
    storage.exec("UPDATE meta SET value = 0 WHERE name = 'clean'");
    const after = copyOf(path);
    storage.close();
    assert.deepEqual(walState(join(after, "journal.db")), { damage: null, torn: false });
    await opensWith(after, 1);

    overwrite(join(lost, "journal.db-wal"), 32 + 5 * FRAME + 24, Buffer.alloc(PAGE));
    await refused(lost, "damaged", "journal_damaged", /from frame 6 on/);
  }
});

test("after an I/O error the log is written anew, to the database, before anything is appended to it", async () => {
  const path = copyOfKilled();
  leaveDoubt(path);
  const storage = openChecked(join(path, "journal.db"));
  assert.deepEqual(storage.checkpoint("NOOP"), { frames: 0, moved: 0 });
  assert.equal(storage.sizes().wal, 0);
  storage.close();
  assert.ok(!existsSync(join(path, "doubt")));
  await opensWith(path, acknowledged);
});

test("a damaged log stays as it is, in doubt or not", async () => {
  const path = copyOfKilled();
  leaveDoubt(path);
  overwrite(join(path, "journal.db-wal"), 32 + 5 * FRAME + 24, Buffer.alloc(PAGE));
  await refused(path, "damaged", "journal_damaged", /from frame 6 on/);
  assert.ok(existsSync(join(path, "doubt")));
});

/** The frames of the last commit in a log, counted from 1. */
function lastCommit(wal: string, frames: number): { first: number; last: number } {
  const bytes = readFileSync(wal);
  const commits = Array.from({ length: frames }, (_, at) => at + 1).filter(
    (frame) => bytes.readUInt32BE(32 + (frame - 1) * FRAME + 4) !== 0,
  );
  const [before = 0, last = 0] = commits.slice(-2);
  assert.ok(last - before > 1, "it has several pages");
  return { first: before + 1, last };
}

function overwrite(file: string, at: number, bytes: Uint8Array): void {
  const whole = readFileSync(file);
  whole.set(bytes, at);
  writeFileSync(file, whole);
}

test("a first start that is killed at any step is followed by one that works", async () => {
  for (const step of ["lock.db", "journal.db", "journal.db-wal", "VERSION", "streams.db"]) {
    const path = newFolder();
    const child = spawn(process.execPath, [CHILD, path, "run"], { stdio: "ignore" });
    const ended = once(child, "close");
    while (!existsSync(join(path, step)) && child.exitCode === null) await turn();
    child.kill("SIGKILL");
    await ended;
    await opensWith(path, 1);
    assert.equal(readFileSync(join(path, "VERSION"), "utf8"), "1\n");
  }
});

test("VERSION is not written, nor raised, for a journal that can't be opened", async () => {
  const path = copyOfKilled();
  const file = join(path, "journal.db");
  await opensWith(path, 1);
  const db = new DatabaseSync(file);
  db.exec("PRAGMA user_version = 99");
  db.close();
  writeFileSync(join(path, "VERSION"), "0\n");
  await refused(path, "damaged", "journal_newer", /99/);
  rmSync(join(path, "VERSION"));
  await refused(path, "damaged", "journal_newer", /99/);
});

test("a file of an older version is brought up to date, step by step, and keeps what it holds", () => {
  const file = join(newFolder(), "journal.db");
  const first =
    "CREATE TABLE meta (name TEXT, value ANY); CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT)";
  const version = () => Number(storage.prepare("PRAGMA user_version").get()?.user_version);
  let storage = openStorage({ file });
  migrate(storage, 7, [first]);
  storage.exec("INSERT INTO event DEFAULT VALUES");
  storage.close();
  storage = openStorage({ file });
  assert.equal(version(), 1);
  const second = "ALTER TABLE event ADD COLUMN colour TEXT DEFAULT 'red'";
  assert.throws(() => migrate(storage, 8, [first, `${second}; CREATE TABLE meta (a)`]), /meta/);
  assert.equal(version(), 1, "a step that fails leaves nothing behind");
  migrate(storage, 8, [first, second]);
  assert.equal(version(), 2);
  assert.deepEqual(
    { ...storage.prepare("SELECT seq, colour FROM event").get() },
    { seq: 7001, colour: "red" },
  );
  storage.close();
});

test("an empty or unreadable VERSION is damaged, not newer", async () => {
  for (const text of ["", "one\n"]) {
    const path = copyOfKilled();
    writeFileSync(join(path, "VERSION"), text);
    await refused(path, "damaged", "journal_damaged", /VERSION/);
  }
});

test("a damaged lock.db is told, with that it can be deleted", async () => {
  const path = copyOfKilled();
  writeFileSync(join(path, "lock.db"), "garbage ".repeat(1000));
  await refused(path, "damaged", "journal_damaged", /lock file/);
  rmSync(join(path, "lock.db"));
  await opensWith(path, acknowledged);
});

test("a folder that can't be written to is told with what to do", async () => {
  const path = copyOfKilled();
  // A folder in the place of the file: fails for root too, as a read-only file system does.
  rmSync(join(path, "pid"), { force: true });
  mkdirSync(join(path, "pid"));
  await refused(path, "storage", "journal_path", /can't be used/);
});

test("a folder and files that others could read are closed to them", async () => {
  const path = newFolder();
  await openAt(path).then(({ close }) => close());
  mkdirSync(join(path, "mine"), { mode: 0o755 });
  for (const name of ["journal.db", "streams.db", "lock.db", "VERSION"]) chmodSync(join(path, name), 0o644);
  chmodSync(path, 0o755);
  const { journal, close } = await openAt(path);
  await journal.log.append(newEvent({}), null);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  for (const name of readdirSync(path)) {
    if (name !== "mine" && name !== "pid") assert.equal(statSync(join(path, name)).mode & 0o777, 0o600, name);
  }
  assert.equal(statSync(join(path, "mine")).mode & 0o777, 0o755, "what is not ours is left alone");
  await close();
});
