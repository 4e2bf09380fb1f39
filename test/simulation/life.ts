/**
 * One process on the machine, from its start to its end: the real journal and the real delivery, whose threads are inline
 * and whose time, sinks and readers are simulated. What `daemon.ts` does at a start, at a reload and at a stop is done
 * here in the same order.
 */

import type { Assembly } from "../../src/daemon/assembly.ts";
import { placeStreams } from "../../src/daemon/stream-places.ts";
import { definitionsOf } from "../../src/daemon/subscriptions.ts";
import { compileTargets } from "../../src/daemon/targets.ts";
import { Delivery } from "../../src/delivery/delivery.ts";
import type { DeliveryObserver } from "../../src/delivery/target.ts";
import type { JournalTuning } from "../../src/journal/journal.ts";
import { ClockGuard, explained } from "../../src/journal/sqlite/clock-guard.ts";
import { Committer } from "../../src/journal/sqlite/committer.ts";
import { SqliteHistory } from "../../src/journal/sqlite/history.ts";
import { SqliteLedger } from "../../src/journal/sqlite/ledger.ts";
import { LedgerQueries } from "../../src/journal/sqlite/ledger-queries.ts";
import type { LedgerStart } from "../../src/journal/sqlite/ledger-store.ts";
import { SqliteLog } from "../../src/journal/sqlite/log.ts";
import { LogQueries } from "../../src/journal/sqlite/log-queries.ts";
import { SqliteNotes } from "../../src/journal/sqlite/notes.ts";
import { RefusalQueue } from "../../src/journal/sqlite/refusals.ts";
import { Ring } from "../../src/journal/sqlite/ring.ts";
import { SqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { SqliteStreamIndex } from "../../src/journal/sqlite/stream-index.ts";
import type { Limits } from "../../src/plan.ts";
import { silent } from "../delivery/kit.ts";
import { FaultyStorage } from "../journal/simulation/faulty-storage.ts";
import { type Machine, turnOfTheLoop } from "./machine.ts";
import { ProcessClock } from "./process-clock.ts";
import { InlineProjections, InlineReader, InlineWriter } from "./threads.ts";

/** The ring is small, so that subscriptions fall behind it and page. */
const RING_BYTES = 8 * 1024;
/** Small groups, so that they queue up and split. */
const GROUPING = { events: 8, bytes: 2000, worthQueueing: 2, worthSending: 1 };
const LIMITS: Limits = {
  eventBytes: 1 << 20,
  brokerEventBytes: 1 << 20,
  headers: 100,
  headerBytes: 65_536,
  idBytes: 512,
  keyBytes: 1024,
  channelBytes: 256,
  uncommittedBytes: 1 << 20,
  commitWaitMs: 10_000,
  answerFailureBytes: 1024,
  answerSuccessBytes: 256,
  dedupeIds: 1_000_000,
};

export interface LifeOptions {
  readonly machine: Machine;
  readonly tuning: JournalTuning;
  readonly observer: DeliveryObserver;
}

export class Life {
  readonly clock: ProcessClock;
  readonly storage: FaultyStorage;
  indexStorage: FaultyStorage;
  readonly writer: InlineWriter;
  readonly journal: SqliteJournal;
  readonly committer: Committer;
  readonly guard: ClockGuard;
  readonly delivery: Delivery;
  readonly #readers: InlineReader[] = [];
  #projections: InlineProjections | null = null;
  readonly #index: SqliteStreamIndex;
  #soon: (() => void)[] = [];
  #ended = false;
  readonly #started = new Set<object>();

  /** Throws when a fault strikes while it opens. */
  constructor({ machine, tuning, observer }: LifeOptions) {
    const { chance } = machine;
    const clock = new ProcessClock(machine.clock);
    this.clock = clock;
    this.storage = new FaultyStorage(machine.disk, chance);
    this.indexStorage = machine.openIndex();
    machine.aim(this.storage);
    this.writer = new InlineWriter({
      storage: this.storage,
      tuning,
      seed: chance.below(2 ** 31),
      monotonic: () => clock.monotonic(),
      commits: () => machine.disk.commits,
    });
    const { client, host } = this.writer;
    const { start } = host;

    const refusals = new RefusalQueue(clock);
    const ring = new Ring(start.newest, RING_BYTES);
    let journal: SqliteJournal | null = null;
    this.committer = new Committer({
      post: (message, transfer) => client.post(message, transfer),
      clock,
      limits: tuning.limits,
      ring,
      refusals,
      start: start.state,
      soon: (run) => this.#soon.push(run),
      changed: () => journal?.changed(),
      grouping: GROUPING,
    });
    const { committer } = this;
    refusals.onWaiting = () => committer.refused();
    client.listen(
      (message) => committer.receive(message),
      (error) => committer.lose(error),
    );

    const [forDelivery, forPeople] = [new InlineReader(), new InlineReader()];
    this.#readers.push(forDelivery, forPeople);
    const queries = new LogQueries(machine.disk);
    const people = new LedgerQueries(machine.disk);
    const log = new SqliteLog(
      committer,
      ring,
      {
        read: forDelivery.ask(queries.read.bind(queries)),
        get: forDelivery.ask(queries.get.bind(queries)),
        load: forDelivery.ask(queries.load.bind(queries)),
        total: forDelivery.ask(queries.total.bind(queries)),
        mark: forDelivery.ask(queries.mark.bind(queries)),
        seqBefore: forDelivery.ask(queries.seqBefore.bind(queries)),
        agedThrough: forDelivery.ask(queries.agedThrough.bind(queries)),
        seqAtTotal: forDelivery.ask(queries.seqAtTotal.bind(queries)),
      },
      silent,
    );
    const answers = {
      deliveries: forPeople.ask(people.deliveries.bind(people)),
      dead: forPeople.ask(people.dead.bind(people)),
      refusals: forPeople.ask(people.refusals.bind(people)),
      events: forPeople.ask(people.events.bind(people)),
    };
    this.#index = new SqliteStreamIndex({
      file: "streams.db",
      log: silent,
      clock,
      thread: (host) => {
        const file = {
          open: () => (this.indexStorage = machine.openIndex()),
          setAside: () => machine.loseIndex(),
        };
        this.#projections = new InlineProjections(() => this.crashed, file, host);
        return this.#projections;
      },
    });
    const mark = { wall: clock.wall(), uptime: clock.monotonic(), boot: "simulated" };
    this.guard = new ClockGuard(clock, start.mark === null || explained(start.mark, mark));
    const { guard } = this;
    const ledger = new SqliteLedger({
      commits: committer,
      feed: log,
      clock,
      start: start.ledger as LedgerStart,
      sinks: start.sinks,
      clean: start.clean,
      mayExpireByAge: () => guard.trusted(),
      dead: answers.dead,
    });
    journal = new SqliteJournal({
      folder: { path: "", file: (name) => name, begun() {}, release() {} },
      writer: client,
      committer,
      checkpointer: { close: async () => {} },
      readers: [],
      log,
      ledger,
      history: new SqliteHistory(answers, refusals),
      streams: this.#index,
      notes: new SqliteNotes(start.notes, (command) => committer.command(command)),
      mark: start.journalMark,
      guard,
      clock,
      logger: silent,
    });
    this.journal = journal;
    this.delivery = new Delivery({
      ledger,
      streams: this.#index,
      clock,
      chance,
      log: silent,
      observer,
    });
  }

  get crashed(): boolean {
    return this.storage.crashed;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The journal's file of streams is read. */
  async open(): Promise<void> {
    await this.#index.opened();
  }

  /** As `Daemon.#takeOver`. `tellSwap` is called once the new routes hold for what is committed from now on. */
  async takeOver(assembly: Assembly, tellSwap: () => void): Promise<{ readonly ended: Promise<void> }> {
    const { journal } = this;
    const targets = compileTargets(assembly, LIMITS, silent);
    await placeStreams(assembly, journal);
    // Those that were there before a reload go on.
    for (const { component } of assembly.sinks.values()) {
      if (!this.#started.has(component)) await component.start();
      this.#started.add(component);
    }
    await journal.ledger.reconcile(definitionsOf(assembly.plan));
    const ended = this.delivery.apply(targets.pushed, targets.streams);
    tellSwap();
    return { ended };
  }

  // ------------------------------------------------------------------------------------------------ what goes on

  /** One turn of the main thread: what was put off to it runs. */
  turn(): void {
    const runs = this.#soon;
    this.#soon = [];
    for (const run of runs) run();
  }

  /** A reader answers its next question, or can't. */
  read(fails: boolean): void {
    if (this.crashed) return;
    for (const reader of this.#readers) reader.work(fails);
  }

  index(): void {
    this.#projections?.work();
  }

  indexed(): void {
    if (!this.crashed) this.#projections?.answer();
  }

  get busy(): boolean {
    if (this.crashed) return false;
    const readers = this.#readers.some(({ busy }) => busy);
    return this.#soon.length > 0 || this.writer.busy || readers || this.#projections?.busy === true;
  }

  /** Everything on its way between the threads arrives, and what follows from that. */
  async settle(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 2 && !this.crashed; ) {
      const { busy } = this;
      this.turn();
      this.writer.work(8);
      this.writer.answer();
      this.writer.idle();
      this.read(false);
      this.index();
      this.indexed();
      await turnOfTheLoop();
      quietTurns = busy ? 0 : quietTurns + 1;
    }
  }

  /** The process is gone. What is left of it does nothing any more. */
  end(): void {
    this.#ended = true;
    this.storage.crashed = true;
    this.indexStorage.crashed = true;
    this.clock.end();
  }
}
