/**
 * One simulated machine: a disk (real SQLite) that outlives processes, and a process on it that is the real committer and
 * the real writer, run inline. Messages between the two wait in queues until the simulation lets them through, so that
 * anything can happen in between.
 */

import type { JournalTuning } from "../../../src/journal/journal.ts";
import { clockMark } from "../../../src/journal/sqlite/clock-guard.ts";
import { Committer } from "../../../src/journal/sqlite/committer.ts";
import type { CreateLedgerStore } from "../../../src/journal/sqlite/ledger-port.ts";
import { RefusalQueue } from "../../../src/journal/sqlite/refusals.ts";
import { Ring } from "../../../src/journal/sqlite/ring.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage, type Storage } from "../../../src/journal/sqlite/storage.ts";
import { WriterHost } from "../../../src/journal/sqlite/writer-host.ts";
import type { FromWriter, ToWriter, WriterStart } from "../../../src/journal/sqlite/writer-messages.ts";
import { SeededChance } from "./chance.ts";
import { FaultyStorage } from "./faulty-storage.ts";
import { SimulatedClock } from "./simulated-clock.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly tuning: JournalTuning;
  readonly ledger: CreateLedgerStore;
}

export class World {
  readonly seed: number;
  readonly chance: SeededChance;
  readonly clock = new SimulatedClock();
  /** What is really on disk: no fault stands before it. */
  readonly disk: Storage;
  process: Process | null = null;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.chance = new SeededChance(options.seed);
    this.#options = options;
    this.disk = openStorage({ file: ":memory:" });
    migrate(this.disk, this.clock.wall());
  }

  /** Starts a process on the disk as it is. */
  start(): Process {
    const process = new Process(this, this.#options);
    this.process = process;
    return process;
  }

  /** The process is gone, and what it had not committed. */
  crash(): void {
    if (this.process === null) return;
    this.process.storage.crashed = true;
    this.disk.rollback();
    this.clock.forget();
    this.process = null;
  }

  end(): void {
    this.crash();
    this.disk.close();
  }
}

export class Process {
  readonly storage: FaultyStorage;
  readonly committer: Committer;
  readonly writer: WriterHost;
  readonly ring: Ring;
  readonly refusals: RefusalQueue;
  readonly start: WriterStart;
  readonly #world: World;
  readonly #toWriter: ToWriter[] = [];
  readonly #toMain: FromWriter[] = [];
  #soon: (() => void)[] = [];

  constructor(world: World, { tuning, ledger }: WorldOptions) {
    const { clock, chance, disk } = world;
    this.#world = world;
    this.storage = new FaultyStorage(disk, chance);
    this.writer = new WriterHost({
      storage: this.storage,
      ledger,
      tuning,
      watermark: { share: 0.1, bytes: 2 ** 30 },
      ballastBytes: 2 ** 26,
      seed: chance.below(2 ** 31),
    });
    this.start = this.writer.start;
    this.ring = new Ring(this.start.newest, 64 * 1024);
    this.refusals = new RefusalQueue(clock);
    this.committer = new Committer({
      post: (message) => this.#toWriter.push(message),
      clock,
      limits: tuning.limits,
      ring: this.ring,
      refusals: this.refusals,
      start: this.start.state,
      soon: (run) => this.#soon.push(run),
      changed: () => {},
      // Small, so that groups queue up and split.
      grouping: { events: 8, bytes: 2000, worthSending: 2 },
    });
    this.refusals.onWaiting = () => this.committer.refused();
  }

  /** One turn of the main thread: what was put off to it runs. */
  turn(): void {
    const runs = this.#soon;
    this.#soon = [];
    for (const run of runs) run();
  }

  /** The writer handles its next message. */
  write(): void {
    const message = this.#toWriter.shift();
    if (message === undefined) return;
    const groups = message.kind === "group" ? [message.group] : [];
    // As the thread does, which takes all that has come by then; here it may be less.
    while (groups.length > 0 && this.#toWriter[0]?.kind === "group" && this.#world.chance.below(3) > 0) {
      const next = this.#toWriter.shift();
      if (next?.kind === "group") groups.push(next.group);
    }
    const answer = groups.length > 0 ? this.writer.commit(groups) : this.writer.handle(message);
    if (answer !== null && !this.storage.crashed) this.#toMain.push(answer);
  }

  /** The main thread gets the writer's next message. */
  receive(): void {
    const message = this.#toMain.shift();
    if (message !== undefined) this.committer.receive(message);
  }

  idle(): void {
    this.writer.idle();
  }

  tick(trusted = true): void {
    const now = this.#world.clock.wall();
    this.#toWriter.push({ kind: "tick", now, trusted, mark: clockMark(now) });
  }

  /** Everything that is on its way arrives. */
  settle(): void {
    while (this.#soon.length + this.#toWriter.length + this.#toMain.length > 0 && !this.storage.crashed) {
      this.turn();
      this.write();
      this.receive();
    }
  }
}
