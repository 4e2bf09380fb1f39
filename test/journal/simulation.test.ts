/**
 * The journal's core under seeded chance: appends, settlements, retention, steps of the clock, and a fault at some call
 * into the storage; then a new process on the same disk. What was said before is held against what is on disk.
 *
 * LEAT_SEEDS=10000 runs more of them, LEAT_SEED=123 one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeatError } from "../../src/errors.ts";
import type { NewEvent } from "../../src/event.ts";
import { NO_HEADERS } from "../../src/event.ts";
import type { JournalTuning } from "../../src/journal/journal.ts";
import type { DeltaSource, TakenDelta } from "../../src/journal/sqlite/delta.ts";
import type { SubscriptionDelta } from "../../src/journal/sqlite/group.ts";
import type { CreateLedgerStore } from "../../src/journal/sqlite/ledger-port.ts";
import type { Fault } from "./simulation/faulty-storage.ts";
import { type Process, World } from "./simulation/world.ts";

const SEEDS = Number(process.env.LEAT_SEEDS ?? 500);
const ONLY = process.env.LEAT_SEED;
const DAY = 86_400_000;
const STEPS = 250;

/** One append that was tried, and what was said about it. */
interface Attempt {
  readonly event: NewEvent;
  readonly window: number | null;
  said:
    | { readonly outcome: "waiting" | "refused" | "unknown" }
    | { readonly outcome: "taken" | "duplicate"; readonly seq: number };
}

/** Stands for a subscription: settles by counting, so that order, loss and repetition show. */
class Settler implements DeltaSource {
  settled: number;
  acknowledged = 0;
  readonly #process: Process;
  #gathered = 0;
  #raises: NewEvent[] = [];

  constructor(process: Process, settled: number) {
    this.#process = process;
    this.settled = settled;
  }

  /** Every third one raises an event (a reply). */
  settle(time: number): void {
    this.settled++;
    this.#gathered++;
    if (this.settled % 3 === 0) this.#raises.push(raised(this.settled, time));
    this.#process.committer.dirty(this);
  }

  takeDelta(): TakenDelta | null {
    if (this.#gathered === 0) return null;
    const taken = { delta: counted(this.settled, this.#gathered), raises: this.#raises };
    this.#gathered = 0;
    this.#raises = [];
    return taken;
  }

  restoreDelta({ delta, raises }: TakenDelta): void {
    assert.equal(delta.cursor, this.settled - this.#gathered, "a delta is given back out of order");
    this.#gathered += delta.accounts[0]!.delivered;
    this.#raises = [...raises, ...this.#raises];
  }

  committed({ delta }: TakenDelta): void {
    assert.ok(delta.cursor > this.acknowledged, "a delta is acknowledged out of order");
    this.acknowledged = delta.cursor;
  }

  lost(): void {}
}

/** The event that the nth settlement raises. */
function raised(n: number, time: number): NewEvent {
  return {
    source: "reply",
    id: `reply ${n}`,
    type: "reply",
    subject: null,
    key: null,
    time,
    headers: NO_HEADERS,
    body: Buffer.from(`reply ${n}`),
    hops: 0,
    cause: null,
  };
}

function counted(cursor: number, delivered: number): SubscriptionDelta {
  const zero = {
    accepted: 0,
    endedPending: 0,
    endedRetrying: 0,
    pending: 0,
    retrying: 0,
    filtered: 0,
    dead: 0,
    expired: 0,
    purged: 0,
  };
  return {
    subscription: 1,
    cursor,
    accounts: [{ route: "r", replay: false, ...zero, delivered }],
    put: [],
    remove: [],
    attempts: [],
    dead: [],
    expired: [],
    suspect: null,
    cleared: [],
    freed: [],
  };
}

/** Counts what was appended and settled; notes when settlements don't come one after the other. */
const countingLedger =
  (broken: string[]): CreateLedgerStore =>
  (storage) => {
    const one = storage.prepare("SELECT delivered FROM account WHERE subscription = 1 AND route = 'r'");
    const settle = storage.prepare(
      "UPDATE account SET delivered = delivered + ? WHERE subscription = 1 AND route = 'r'",
    );
    const accept = storage.prepare(
      "UPDATE account SET accepted = accepted + ? WHERE subscription = 1 AND route = 'r'",
    );
    return {
      appended(bySource) {
        let count = 0;
        for (const n of bySource.values()) count += n;
        accept.run(count);
      },
      apply({ cursor, accounts }) {
        const { delivered } = accounts[0]!;
        const before = Number(one.get()?.delivered);
        // Thrown from here it would only look like a group that failed.
        if (before + delivered !== cursor)
          broken.push(`${cursor} is applied after ${before}, with ${delivered}`);
        settle.run(delivered);
      },
      command: () => null,
      load: () => null,
      rolledBack() {},
    };
  };

class Run {
  readonly world: World;
  readonly attempts: Attempt[] = [];
  readonly #broken: string[] = [];
  #settler: Settler | null = null;
  /** Settlements that were acknowledged by any process so far. */
  #acknowledged = 0;
  #told = 0;
  /** The state each sink was set to last, in this life. */
  #sinkState = 0;
  #stepped = false;

  constructor(seed: number) {
    const tuning: JournalTuning = {
      retention: { ageMs: 3 * DAY, bytes: 30_000, dead: { ageMs: DAY, bytes: 1 << 20 } },
      limits: { uncommittedBytes: 20_000, commitWaitMs: 10_000, dedupeIds: 1_000_000 },
    };
    this.world = new World({ seed, tuning, ledger: countingLedger(this.#broken) });
    const { disk } = this.world;
    // A subscription that has settled up to somewhere: J6 keeps what is above its cursor.
    disk.exec(`INSERT INTO subscription (id, name, definition, active, feeds, cursor) VALUES (1, 's', '{}', 1, '[]', 0);
      INSERT INTO account (subscription, route) VALUES (1, 'r')`);
  }

  async go(): Promise<void> {
    const { chance } = this.world;
    const kinds: Fault[] = ["full", "io", "crash", "defect"];
    for (let life = 0; life < 3; life++) {
      const process = this.#start();
      if (process !== null) {
        process.storage.failAfter(1 + chance.below(400), chance.pick(kinds), 1 + chance.below(6));
        for (let step = 0; step < STEPS && !process.storage.crashed; step++) await this.#step(process);
        await this.#endLife(process);
      }
      this.check();
    }
    await this.#liveness();
    this.world.end();
  }

  /** Null: the fault was in opening; the next life begins. */
  #start(): Process | null {
    const process = this.world.start();
    const { cursor } = this.#onDisk();
    this.#settler = new Settler(process, cursor);
    this.#told = process.start.newest;
    process.committer.onCommit(({ events }) => {
      for (const { seq } of events) assert.equal(seq, ++this.#told, "J5: commits are told without a gap");
    });
    return process;
  }

  async #step(process: Process): Promise<void> {
    const { chance, clock, disk } = this.world;
    const dice = chance.random();
    if (dice < 0.3) for (let n = 1 + chance.below(4); n > 0; n--) this.#append(process);
    else if (dice < 0.42) this.#settler?.settle(this.world.clock.wall());
    else if (dice < 0.57) process.turn();
    else if (dice < 0.75) process.write();
    else if (dice < 0.9) process.receive();
    else if (dice < 0.92) process.tick(!this.#stepped);
    else if (dice < 0.94) process.idle();
    else if (dice < 0.98) clock.pass(chance.below(3000));
    else if (dice < 0.985) {
      this.#stepped = true;
      clock.step((chance.random() - 0.5) * 20 * DAY);
    } else if (dice < 0.99) process.refusals.refuse(refusal(`10.0.0.${chance.below(5)}`));
    else if (dice < 0.995) this.#setSink(process);
    else if (!process.storage.crashed) {
      // The stand-in for a subscription settles up to some event.
      const { newest } = this.#onDisk();
      const cursor = newest - chance.below(20);
      disk.prepare("UPDATE subscription SET cursor = max(cursor, ?)").run(cursor);
    }
    await null;
  }

  #setSink(process: Process): void {
    process.committer.setSink("sink", { hold: null, paused: String(++this.#sinkState), breaker: null });
  }

  #append(process: Process): void {
    const { chance, clock } = this.world;
    const attempt: Attempt = {
      event: {
        source: chance.pick(["a", "b", "c"]),
        id: `id${chance.below(60)}`,
        type: "t",
        subject: chance.odds(0.5) ? null : "s",
        key: null,
        time: clock.wall(),
        headers: NO_HEADERS,
        body: Buffer.from(`${this.attempts.length}:${"x".repeat(chance.below(400))}`),
        hops: 0,
        cause: null,
      },
      window: chance.odds(0.8) ? Number.MAX_SAFE_INTEGER / 4 : null,
      said: { outcome: "waiting" },
    };
    this.attempts.push(attempt);
    process.committer.append(attempt.event, attempt.window).then(
      ({ seq, duplicate }) => {
        attempt.said = { outcome: duplicate ? "duplicate" : "taken", seq };
      },
      (error: unknown) => {
        assert.ok(error instanceof LeatError, String(error));
        const sure = ["journal_full", "journal_busy", "event_refused"].includes(error.code);
        attempt.said = { outcome: sure ? "refused" : "unknown" };
      },
    );
  }

  async #endLife(process: Process): Promise<void> {
    const { chance } = this.world;
    // Half of the processes that still live end well, the others at once.
    if (!process.storage.crashed && chance.odds(0.5)) process.settle();
    await this.#microtasks();
    this.#acknowledged = Math.max(this.#acknowledged, this.#settler?.acknowledged ?? 0);
    this.world.crash();
  }

  #onDisk(): { cursor: number; accepted: number; newest: number } {
    const { disk } = this.world;
    const account = disk.prepare("SELECT accepted, delivered FROM account").get();
    const sequence = disk.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'event'").get();
    return {
      cursor: Number(account?.delivered),
      accepted: Number(account?.accepted),
      newest: Number(sequence?.seq),
    };
  }

  /** Holds what was said against what is on disk. */
  check(): void {
    assert.deepEqual(this.#broken, [], "deltas are applied in order, each once");
    const { disk } = this.world;
    const { cursor, accepted, newest } = this.#onDisk();
    const rows = disk
      .prepare(
        "SELECT seq, body, event.id, source.name AS source FROM event JOIN source ON source.id = event.source ORDER BY seq",
      )
      .all();
    const created = Number(disk.prepare("SELECT value FROM meta WHERE name = 'created'").get()?.value) * 1000;
    const oldest = Number(rows[0]?.seq ?? newest + 1);
    const bySeq = new Map(rows.map((row) => [Number(row.seq), row]));
    const settled = Number(disk.prepare("SELECT cursor FROM subscription").get()?.cursor);

    for (const [index, row] of rows.entries()) assert.equal(row.seq, oldest + index, "J5: seqs are dense");
    assert.equal(accepted, newest - created, "accepted is the number of events ever appended");
    assert.ok(oldest <= Math.max(settled, created) + 1, "J6: nothing unsettled was removed");
    assert.ok(cursor >= this.#acknowledged, "an acknowledged settlement was lost");

    const rowsByAttempt = new Map<number, number>();
    const replies = new Set<string>();
    for (const row of rows) {
      if (row.source === "reply") {
        assert.ok(!replies.has(String(row.id)), "a reply is there twice");
        replies.add(String(row.id));
        assert.ok(Number(String(row.id).slice(6)) <= cursor, "a reply without the settlement that raised it");
        continue;
      }
      const number = Number.parseInt(Buffer.from(row.body as Uint8Array).toString(), 10);
      assert.ok(!rowsByAttempt.has(number), `attempt ${number} is there twice`);
      rowsByAttempt.set(number, Number(row.seq));
    }
    if (oldest === created + 1) {
      assert.equal(replies.size, Math.floor(cursor / 3), "a settlement without the reply that it raised");
    }
    const originals = new Map<string, number>();
    for (const [number, { event, window, said }] of this.attempts.entries()) {
      const at = rowsByAttempt.get(number);
      if (at !== undefined && window !== null) {
        const name = `${event.source}/${event.id}`;
        assert.ok(!originals.has(name), `${name} is there twice: ${at} and ${originals.get(name)}`);
        originals.set(name, at);
      }
      if (said.outcome === "taken" && said.seq >= oldest) {
        assert.equal(at, said.seq, `J1: attempt ${number} was acknowledged as ${said.seq}`);
      }
      if (said.outcome === "duplicate" && said.seq >= oldest) {
        const first = bySeq.get(said.seq);
        assert.deepEqual(
          [first?.source, first?.id],
          [event.source, event.id],
          "a duplicate names its original",
        );
        assert.equal(at, undefined, "a duplicate is not appended");
      }
      if (said.outcome === "refused") assert.equal(at, undefined, `J2: attempt ${number} was refused`);
    }
  }

  /** Once faults end, all goes on. */
  async #liveness(): Promise<void> {
    const process = this.#start();
    assert.ok(process !== null);
    process.storage.failAfter(1 + this.world.chance.below(60), "full", 4);
    for (let n = 0; n < 5; n++) this.#append(process);
    this.#setSink(process);
    this.#settler?.settle(this.world.clock.wall());
    for (let seconds = 0; seconds < 20; seconds++) {
      process.settle();
      await this.#microtasks();
      process.tick();
      this.world.clock.pass(1000);
    }
    process.storage.heal();
    assert.equal(process.committer.lost, null);
    assert.equal(process.committer.stalled, false);
    this.world.disk.prepare("UPDATE subscription SET cursor = ?").run(this.#onDisk().newest);
    for (let n = 0; n < 200; n++) process.idle();
    process.tick();
    process.settle();
    assert.deepEqual(process.committer.intake(), { open: true });
    const first = this.attempts.length;
    for (let n = 0; n < 3; n++) this.#append(process);
    process.settle();
    await this.#microtasks();
    for (const { said } of this.attempts.slice(first)) {
      assert.ok(said.outcome === "taken" || said.outcome === "duplicate", said.outcome);
    }
    const { settled } = this.#settler!;
    assert.equal(this.#onDisk().cursor, settled, "every settlement is on disk");
    assert.equal(process.committer.uncommittedBytes, 0);
    const { disk } = this.world;
    const sink = JSON.parse(String(disk.prepare("SELECT state FROM sink").get()?.state));
    assert.equal(sink.paused, String(this.#sinkState), "the sink's last state is on disk");
    process.tick();
    process.settle();
    const ids = Number(disk.prepare("SELECT count(*) AS n FROM dedupe").get()?.n);
    assert.equal(process.committer.state.dedupeIds, ids, "the table of ids holds what its rows hold");
    this.check();
  }

  async #microtasks(): Promise<void> {
    for (let n = 0; n < 5; n++) await null;
  }
}

function refusal(address: string) {
  return { source: "a", reason: "signature", address, detail: "no", body: null };
}

test("J1, J2, J5, J6, duplicates and counts hold whatever fails (seeded simulation)", async () => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, n) => n + 1) : [Number(ONLY)];
  const outcomes = new Map<string, number>();
  for (const seed of seeds) {
    const run = new Run(seed);
    try {
      await run.go();
    } catch (error) {
      throw new Error(`seed ${seed} (run it alone with LEAT_SEED=${seed}): ${error}`, { cause: error });
    }
    for (const { said } of run.attempts) outcomes.set(said.outcome, (outcomes.get(said.outcome) ?? 0) + 1);
  }
  // The programme itself is checked: each outcome must have come up.
  if (ONLY === undefined) {
    for (const outcome of ["taken", "duplicate", "refused", "unknown"])
      assert.ok(outcomes.has(outcome), outcome);
  }
});
