/** Retention over the writer inline: what may go, what must stay (J6). */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { NewEvent } from "../../../src/event.ts";
import type { JournalTuning } from "../../../src/journal/journal.ts";
import { clockMark } from "../../../src/journal/sqlite/clock-guard.ts";
import { noLedger } from "../../../src/journal/sqlite/ledger-port.ts";
import { createLedgerStore } from "../../../src/journal/sqlite/ledger-store.ts";
import { EventPacker } from "../../../src/journal/sqlite/packed-events.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage, type Storage } from "../../../src/journal/sqlite/storage.ts";
import { WriterHost } from "../../../src/journal/sqlite/writer-host.ts";
import { newEvent } from "../../conformance/log.ts";
import { type Process, World } from "../simulation/world.ts";
import { newFolder, TUNING } from "./journal-kit.ts";
import { definition } from "./subscription-kit.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

class Bench {
  readonly world: World;
  readonly process: Process;

  constructor(retention: Partial<JournalTuning["retention"]> = {}) {
    const tuning = { ...TUNING, retention: { ...TUNING.retention, ...retention } };
    this.world = new World({ seed: 1, tuning, ledger: noLedger });
    this.process = this.world.start();
  }

  async append(part: Partial<NewEvent> = {}, dedupeMs: number | null = DAY): Promise<number> {
    const appending = this.process.committer.append(
      newEvent({ time: this.world.clock.wall(), ...part }),
      dedupeMs,
    );
    this.process.settle();
    return (await appending).seq;
  }

  async fill(count: number, bytes = 1000): Promise<number[]> {
    const seqs: number[] = [];
    for (let n = 0; n < count; n++) seqs.push(await this.append({ body: Buffer.alloc(bytes) }));
    return seqs;
  }

  /** Retention until it finds nothing more. */
  retain(trusted = true): void {
    this.process.tick(trusted);
    this.process.settle();
    for (let n = 0; n < 200; n++) this.process.idle();
    this.process.tick(trusted);
    this.process.settle();
  }

  /** A subscription that has settled all up to `cursor`. */
  subscription(id: number, cursor: number, until: number | null = null): void {
    this.world.disk
      .prepare(
        `INSERT OR REPLACE INTO subscription (id, name, definition, active, feeds, cursor, until)
         VALUES (?1, 's' || ?1, '{}', 1, '[]', ?2, ?3)`,
      )
      .run(id, cursor, until);
  }

  seqs(table = "event"): number[] {
    return this.world.disk
      .prepare(`SELECT seq FROM ${table} ORDER BY seq`)
      .all()
      .map(({ seq }) => Number(seq));
  }

  dead(subscription: number, seq: number, cause: number | null = null): void {
    const { disk, clock } = this.world;
    disk
      .prepare(
        `INSERT INTO dead (subscription, seq, replay, route, at, error, message, attempts, cause)
         VALUES (?, ?, 0, 'r', ?, 'e', 'm', 1, ?)`,
      )
      .run(subscription, seq, clock.wall(), cause);
    for (const one of cause === null ? [seq] : [seq, cause]) {
      disk.prepare("INSERT OR IGNORE INTO kept SELECT * FROM event WHERE seq = ?").run(one);
    }
  }

  end(): void {
    this.world.end();
  }
}

test("what is past its age goes with its attempts, the rest stays; seqs are never used again", async () => {
  const bench = new Bench({ ageMs: DAY });
  const old = await bench.fill(450);
  bench.world.clock.pass(DAY / 2);
  const young = await bench.fill(3);
  bench.world.disk.exec(`INSERT INTO attempt (seq, subscription, replay, n, at, ms, outcome)
    SELECT seq, 1, 0, 1, 0, 0, 'delivered' FROM event`);
  bench.world.clock.pass(DAY / 2 + HOUR);
  bench.retain();
  assert.deepEqual(bench.seqs(), young);
  assert.deepEqual([...new Set(bench.seqs("attempt"))], young);
  assert.equal(bench.process.committer.state.oldest, young[0]);
  bench.world.clock.pass(2 * DAY);
  bench.retain();
  assert.deepEqual(bench.seqs(), []);
  const last = young.at(-1) ?? 0;
  assert.equal(await bench.append(), last + 1);
  assert.ok(old[0] !== undefined && old[0] < last);
  bench.end();
});

test("over its size the oldest events go", async () => {
  const bench = new Bench({ bytes: 50_000 });
  const seqs = await bench.fill(100);
  bench.retain();
  const left = bench.seqs();
  assert.ok(left.length >= 40 && left.length <= 50, `${left.length}`);
  assert.equal(left.at(-1), seqs.at(-1));
  assert.ok(bench.process.committer.state.keptBytes <= 50_000);
  assert.deepEqual(bench.process.committer.intake(), { open: true });
  bench.end();
});

test("J6: what one subscription has not settled stays, and so does what has a row", async () => {
  const bench = new Bench({ ageMs: HOUR });
  const seqs = await bench.fill(30);
  const at = (n: number) => seqs[n] ?? 0;
  bench.subscription(1, at(29));
  bench.subscription(2, at(20));
  bench.world.disk.exec(`INSERT INTO delivery (subscription, seq, replay, state, attempts)
    VALUES (1, ${at(12)}, 0, 'retrying', 1)`);
  bench.world.clock.pass(DAY);
  bench.retain();
  assert.deepEqual(bench.seqs(), seqs.slice(12));
  bench.world.disk.exec("DELETE FROM delivery");
  bench.retain();
  assert.deepEqual(bench.seqs(), seqs.slice(21));
  // A removed subscription that owes nothing more holds nothing.
  bench.subscription(2, at(20), at(20));
  bench.retain();
  assert.deepEqual(bench.seqs(), []);
  bench.end();
});

test("J6: the cause of a reply stays while the reply is unsettled", async () => {
  const bench = new Bench({ ageMs: HOUR });
  const seqs = await bench.fill(10);
  const cause = seqs[4] ?? 0;
  const reply = await bench.append({ source: "billing", cause });
  bench.subscription(1, reply - 1);
  bench.world.clock.pass(DAY);
  bench.retain();
  assert.deepEqual(bench.seqs(), [...seqs.slice(4), reply]);
  bench.subscription(1, reply);
  bench.retain();
  assert.deepEqual(bench.seqs(), []);
  assert.deepEqual(bench.seqs("reply"), []);
  bench.end();
});

test("J6: at its bound with nothing settled the journal closes intake, and opens it once something settles", async () => {
  const bench = new Bench({ bytes: 20_000 });
  bench.subscription(1, 0);
  const seqs = await bench.fill(30);
  bench.retain();
  assert.deepEqual(bench.seqs(), seqs);
  const intake = bench.process.committer.intake();
  assert.deepEqual([intake.open, !intake.open && intake.reason], [false, "journal_bound"]);
  bench.subscription(1, seqs[29] ?? 0);
  bench.retain();
  assert.deepEqual(bench.process.committer.intake(), { open: true });
  bench.end();
});

test("where the disk is short of room, settled events go before their time, the oldest first and no more than that takes", async () => {
  const bench = new Bench();
  const seqs = await bench.fill(60);
  bench.subscription(1, seqs[49] ?? 0);
  // The watermark is 1 GiB here, and 256 MiB more are wanted.
  bench.process.storage.free = 1.25 * 2 ** 30 - 20_000;
  bench.process.tick();
  bench.process.settle();
  for (let n = 0; n < 50; n++) bench.process.idle();
  assert.deepEqual(bench.process.committer.intake(), { open: true }, "it doesn't come to that");
  const left = bench.seqs();
  assert.ok(left.length > 30 && left.length < 45, `${left.length}`);
  assert.deepEqual(left, seqs.slice(-left.length));
  assert.ok(bench.process.committer.state.wantedBytes > 0);
  bench.process.storage.free = 0;
  bench.retain();
  assert.deepEqual(bench.seqs(), seqs.slice(50), "J6: what isn't settled stays");
  const intake = bench.process.committer.intake();
  assert.deepEqual([intake.open, !intake.open && intake.reason], [false, "disk_low"]);
  bench.end();
});

test("a disk that the journal has filled is given back what was settled, and intake opens by itself", () => {
  const file = join(newFolder(), "journal.db");
  const disk = new SmallDisk(file, 40 * 2 ** 20);
  migrate(disk, 1);
  const writer = new WriterHost({
    storage: disk,
    ledger: noLedger,
    tuning: TUNING,
    watermark: { share: 0.1, bytes: 2 ** 30 },
    ballastBytes: 2 ** 20,
    seed: 1,
  });
  const tick = () => {
    const now = Date.now();
    const answer = writer.handle({ kind: "tick", now, trusted: true, mark: clockMark(now) });
    for (let n = 0; n < 300; n++) writer.idle();
    return answer?.kind === "state" ? answer.state : assert.fail("a tick is answered");
  };
  disk.exec(`INSERT INTO subscription (id, name, definition, active, feeds, cursor)
    VALUES (1, 's', '{}', 1, '[]', 0)`);
  let number = 0;
  while (tick().closed === null) {
    const appends = new EventPacker();
    for (let n = 0; n < 40; n++)
      appends.add({ ...newEvent({ body: Buffer.alloc(20_000) }), cause: null }, 0, null);
    const group = { appends: appends.pack(), raisedFrom: 40, deltas: [], sinks: [], refusals: [] };
    const answer = writer.handle({
      kind: "group",
      group: { number: ++number, now: 1, retry: false, ...group },
    });
    assert.ok(answer?.kind === "results" && answer.results.every(({ ok }) => ok));
  }
  for (let n = 0; n < 3; n++)
    assert.equal(tick().closed, "disk_low", "nothing is settled: there is nothing to give");
  const { file: before } = disk.sizes();
  // As a purge does: nothing of it is owed any more.
  disk.exec("UPDATE subscription SET cursor = (SELECT max(seq) FROM event)");
  for (let n = 0; n < 4; n++) tick();
  assert.equal(tick().closed, null);
  assert.ok(disk.sizes().file < before);
  const kept = Number(disk.prepare("SELECT count(*) AS n FROM event").get()?.n);
  assert.ok(kept > 0 && kept < number * 40, `${kept} of ${number * 40}: only what had to go is gone`);
  writer.handle({ kind: "close", mark: clockMark(1), clean: true });
});

test("what a start has to write down on a full disk is written in the ballast's room", () => {
  const disk = new SmallDisk(join(newFolder(), "journal.db"), 40 * 2 ** 20);
  migrate(disk, 1);
  const host = new WriterHost({
    storage: disk,
    ledger: createLedgerStore,
    tuning: TUNING,
    watermark: { share: 0, bytes: 0 },
    ballastBytes: 2 ** 20,
    seed: 1,
  });
  const commit = disk.commit;
  const full = () => {
    if (disk.hasBallast(1)) throw Object.assign(new Error("no room"), { code: "ENOSPC" });
    commit();
  };
  disk.commit = full;
  const command = { kind: "reconcile", definitions: [definition()], now: 1 } as const;
  const answer = host.handle({ kind: "command", number: 1, command });
  assert.ok(answer?.kind === "commanded" && answer.result.ok);
  const state = host.handle({ kind: "tick", now: 1, trusted: true, mark: clockMark(1) });
  assert.ok(state?.kind === "state" && state.state.closed === null, "there is room for a ballast again");
  // Without one to give up it is a failure, as before.
  disk.commit = () => {
    throw Object.assign(new Error("no room"), { code: "ENOSPC" });
  };
  const none = { ...command, definitions: [definition({ name: "other/one" })] };
  const refused = host.handle({ kind: "command", number: 2, command: none });
  assert.ok(refused?.kind === "commanded" && !refused.result.ok && refused.result.failure === "full");
  disk.close();
});

/** A file system of so many bytes that holds nothing but the journal. */
class SmallDisk implements Storage {
  readonly #real: Storage;
  readonly #bytes: number;
  #ballast = 0;

  constructor(file: string, bytes: number) {
    this.#real = openStorage({ file });
    this.#bytes = bytes;
  }

  exec = (sql: string) => this.#real.exec(sql);
  prepare = (sql: string) => this.#real.prepare(sql);
  prepareLists = (sql: string) => this.#real.prepareLists(sql);
  begin = (mode?: "relaxed") => this.#real.begin(mode);
  commit = () => this.#real.commit();
  rollback = () => this.#real.rollback();
  checkpoint = (mode: "NOOP" | "PASSIVE" | "TRUNCATE") => this.#real.checkpoint(mode);
  sizes = () => this.#real.sizes();
  hasBallast = (bytes: number) => this.#ballast >= bytes;
  close = () => this.#real.close();

  space() {
    const { file, wal } = this.sizes();
    return { free: this.#bytes - file - wal - this.#ballast, total: this.#bytes };
  }

  createBallast(bytes: number) {
    this.#ballast = bytes;
  }

  releaseBallast() {
    this.#ballast = 0;
  }
}

test("while the clock isn't trusted nothing goes by age", async () => {
  const bench = new Bench({ ageMs: HOUR });
  const seqs = await bench.fill(5);
  bench.world.clock.step(1000 * DAY);
  bench.retain(false);
  assert.deepEqual(bench.seqs(), seqs);
  assert.deepEqual(bench.seqs("dedupe"), seqs);
  // An id is still known, whatever the clock says.
  const event = newEvent({ id: "known" });
  await bench.append(event);
  bench.world.clock.step(1000 * DAY);
  bench.process.tick(false);
  bench.process.settle();
  const again = bench.process.committer.append({ ...event, time: bench.world.clock.wall() }, HOUR);
  bench.process.settle();
  assert.equal((await again).duplicate, true);
  bench.end();
});

test("an id is known also between a step of the clock and the next look at it", async () => {
  const bench = new Bench({ ageMs: HOUR });
  bench.process.tick(true);
  bench.process.settle();
  const event = newEvent({ id: "known" });
  await bench.append(event, HOUR);
  bench.world.clock.step(2 * HOUR);
  const again = bench.process.committer.append({ ...event, time: bench.world.clock.wall() }, HOUR);
  bench.process.settle();
  assert.equal((await again).duplicate, true);
  bench.end();
});

test("ids outlive their events, until their own time; more than the limit go early and are counted", async () => {
  const bench = new Bench({ ageMs: HOUR });
  const seqs = await bench.fill(10);
  bench.world.clock.pass(2 * HOUR);
  bench.retain();
  assert.deepEqual(bench.seqs(), []);
  assert.deepEqual(bench.seqs("dedupe"), seqs);
  bench.process.committer.configure({ ...TUNING, limits: { ...TUNING.limits, dedupeIds: 4 } });
  bench.retain();
  assert.deepEqual(bench.seqs("dedupe"), seqs.slice(6));
  assert.equal(bench.process.committer.state.dedupeEvictedEarly, 6);
  assert.equal(bench.process.committer.state.dedupeIds, 4);
  bench.world.clock.pass(2 * DAY);
  bench.retain();
  assert.deepEqual(bench.seqs("dedupe"), []);
  assert.equal(bench.process.committer.state.dedupeEvictedEarly, 6);
  bench.end();
});

test("a dead letter keeps its event and its cause beyond the log, until its own age", async () => {
  const bench = new Bench({ ageMs: HOUR, dead: { ageMs: 10 * DAY, bytes: 2 ** 30 } });
  const [cause, reply, other] = await bench.fill(3);
  assert.ok(cause !== undefined && reply !== undefined && other !== undefined);
  bench.dead(1, reply, cause);
  bench.world.clock.pass(5 * DAY);
  bench.dead(2, reply, cause);
  bench.retain();
  assert.deepEqual(bench.seqs(), []);
  assert.deepEqual(bench.seqs("kept"), [cause, reply]);
  bench.world.clock.pass(6 * DAY);
  bench.retain();
  assert.deepEqual(bench.seqs("dead"), [reply]);
  assert.deepEqual(bench.seqs("kept"), [cause, reply]);
  bench.world.clock.pass(5 * DAY);
  bench.retain();
  assert.deepEqual(bench.seqs("dead"), []);
  assert.deepEqual(bench.seqs("kept"), []);
  bench.end();
});

test("a step deletes at most 200 events, so that no commit waits for long", async () => {
  const bench = new Bench({ ageMs: HOUR });
  await bench.fill(500, 10);
  bench.world.clock.pass(DAY);
  bench.process.tick();
  bench.process.write();
  assert.equal(bench.seqs().length, 300);
  bench.process.idle();
  assert.equal(bench.seqs().length, 100);
  bench.end();
});
