/**
 * One run of the simulation: some lives of a process on one machine, each with a fault somewhere, while senders send,
 * receivers stumble, readers come and go, and a person edits the configuration. Then faults end, and all that is owed has
 * to come to its end (liveness). Everything is drawn from one seed: the same seed makes the same run.
 */
import assert from "node:assert/strict";
import type { Appended, StreamSink } from "../../src/component.ts";
import { type Assembly, type BuiltSink, streamHost } from "../../src/daemon/assembly.ts";
import { noObserver } from "../../src/delivery/target.ts";
import { LeatError } from "../../src/errors.ts";
import { type NewEvent, NO_HEADERS } from "../../src/event.ts";
import type { JournalTuning } from "../../src/journal/journal.ts";
import { sseSink } from "../../src/sinks/sse/sink.ts";
import { silent } from "../delivery/kit.ts";
import type { Fault } from "../journal/simulation/faulty-storage.ts";
import {
  COLORS,
  type Configuration,
  firstConfiguration,
  isStream,
  nextConfiguration,
  SOURCES,
  STREAMS,
  wholeConfiguration,
} from "./configuration.ts";
import { Life } from "./life.ts";
import { Machine, turnOfTheLoop } from "./machine.ts";
import { Receivers } from "./receivers.ts";
import { stillTime } from "./still-time.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamTruth } from "./stream-truth.ts";
import { isFree, Truth } from "./truth.ts";

const DAY = 86_400_000;
const LIVES = 3;
const STEPS = 130;

/** One append that was tried, and what was said about it. */
interface Sent {
  readonly event: NewEvent;
  said: "waiting" | "refused" | "unknown" | Appended;
}

export class Run {
  readonly machine: Machine;
  readonly truth: Truth;
  readonly receivers: Receivers;
  readonly sent: Sent[] = [];
  readonly readers: StreamReader[] = [];
  readonly #tuning: JournalTuning;
  readonly #stream: StreamTruth;
  #configuration: Configuration;
  #life: Life | null = null;
  #streams = new Map<string, StreamSink>();
  #reloading = false;
  /** Sources and streams are open: the first configuration of this life holds. */
  #running = false;
  #purging = false;
  /** Processes that did not end as they should. */
  crashes = 0;

  constructor(seed: number) {
    this.machine = new Machine(seed);
    const { machine } = this;
    const { chance, clock } = machine;
    this.#tuning = {
      retention: {
        ageMs: chance.odds(0.5) ? 300 * DAY : 600_000,
        bytes: chance.odds(0.5) ? 12_000 : 1 << 30,
        dead: { ageMs: 300 * DAY, bytes: 1 << 30 },
      },
      limits: { uncommittedBytes: 20_000, commitWaitMs: 10_000, dedupeIds: 1_000_000 },
    };
    this.truth = new Truth(
      machine.disk,
      { now: () => clock.monotonic(), wall: () => clock.wall() },
      () => machine,
    );
    this.receivers = new Receivers(this.truth, clock, chance, () => machine.steps === 0);
    this.#stream = new StreamTruth("live", this.truth);
    this.#configuration = firstConfiguration(chance, this.#tuning.retention);
    for (const channels of [["all"], ["c.red", "c.green"], ["**"]]) {
      this.readers.push(new StreamReader(channels, this.#stream, this.truth));
    }
  }

  async go(): Promise<void> {
    const { clock } = this.machine;
    const goOn = stillTime(() => clock.monotonic());
    try {
      await this.#lives();
    } finally {
      goOn();
    }
  }

  async #lives(): Promise<void> {
    const { chance } = this.machine;
    for (let life = 0; life < LIVES; life++) {
      if (!(await this.#start(true))) continue;
      for (let step = 0; step < STEPS && !this.#live.crashed; step++) {
        await this.#step();
        this.#checkCounts();
      }
      await this.#stop(chance.odds(0.3));
    }
    await this.#finish();
    this.machine.discard();
  }

  get #live(): Life {
    assert.ok(this.#life !== null);
    return this.#life;
  }

  // ------------------------------------------------------------------------------------------------- start and stop

  /** False: a fault struck while it opened. */
  async #start(faults: boolean): Promise<boolean> {
    const { machine, truth } = this;
    const { chance } = machine;
    const kinds: Fault[] = ["full", "io", "crash", "crash", "crash", "defect"];
    machine.nextFault =
      faults && chance.odds(0.85)
        ? {
            after: 1 + chance.below(chance.odds(0.1) ? 40 : 900),
            kind: chance.pick(kinds),
            times: 1 + chance.below(6),
          }
        : null;
    truth.restarted(machine.steps === 0);
    this.#reloading = false;
    this.#running = false;
    this.#purging = false;
    let life: Life;
    try {
      life = new Life({ machine, tuning: this.#tuning, observer: noObserver });
    } catch (error) {
      if (machine.opening?.crashed !== true && !isStorage(error)) throw error;
      machine.stop(chance.odds(0.5));
      this.crashes++;
      return false;
    }
    this.#life = life;
    this.receivers.restarted();
    life.writer.committed = (message) => this.truth.looksAt(() => this.truth.committed(message));
    this.#streams = new Map(STREAMS.map((name) => [name, this.#makeStream(name, life)]));
    const opened = life.open();
    await life.settle();
    if (!life.crashed) await opened;
    this.#takeOver(this.#configuration, true);
    await life.settle();
    return true;
  }

  #makeStream(name: string, life: Life): StreamSink {
    const { truth } = this;
    const config = sseSink.schema.parse({
      path: `/${name}`,
      auth: { type: "none" },
      channels: ["all", "c.red", "c.green", "**"],
      envelope: true,
    });
    const host = { name, clock: life.clock, log: silent, hosts: null };
    const real = sseSink.create(config, streamHost(host, undefined, life.journal));
    let last = 0;
    return {
      endpoint: () => real.endpoint(),
      start: () => real.start(),
      stop: () => real.stop(),
      publish: (seq, frames) => {
        if (life.ended) return;
        truth.holdsThat(() => this.#stream.published(seq, frames, last));
        last = seq;
        real.publish(seq, frames);
      },
    };
  }

  #assembly(configuration: Configuration, life: Life): Assembly {
    const sinks = new Map<string, BuiltSink>();
    for (const plan of configuration.plan.sinks) {
      const { name } = plan;
      const stream = this.#streams.get(name);
      if (stream !== undefined) sinks.set(name, { kind: "stream", plan, component: stream });
      else sinks.set(name, { kind: "pushed", plan, component: this.receivers.sink(name, () => !life.ended) });
    }
    return { plan: configuration.plan, sources: new Map(), sinks };
  }

  /** In the background: the steps go on meanwhile. */
  #takeOver(configuration: Configuration, starting = false): void {
    const life = this.#live;
    this.#configuration = configuration;
    this.#reloading = true;
    this.truth.takesOn(configuration);
    if (starting) this.truth.holds();
    const swapped = async () => {
      // What was leased before is still made by the old routes.
      await turnOfTheLoop();
      if (life.ended) return;
      this.truth.holds();
      const named = new Set(configuration.routes.flatMap(({ to }) => to.map(({ sink }) => sink)));
      for (const [name, sink] of this.receivers.sinks) if (!named.has(name)) sink.left();
      this.#reloading = false;
      this.#running = true;
    };
    life
      .takeOver(this.#assembly(configuration, life), () => void swapped())
      .catch((error: unknown) => {
        if (!(error instanceof LeatError)) this.truth.broken ??= error;
        if (!life.ended) this.#reloading = false;
      });
  }

  /** `well`: as it should; else it is killed, or the power goes. */
  async #stop(well: boolean): Promise<void> {
    const life = this.#live;
    const { machine } = this;
    if (well && !life.crashed) {
      const stopped = life.delivery.stop(1000).then(() => life.journal.close());
      for (let seconds = 0; seconds < 8 && !life.crashed; seconds++) {
        await life.settle();
        await machine.pass(1000);
      }
      await life.settle();
      if (!life.crashed && life.committer.lost?.message.includes("closed")) await stopped;
    } else this.crashes++;
    life.end();
    for (const reader of this.readers) reader.cut();
    this.#life = null;
    machine.stop(machine.chance.odds(0.5));
    if (machine.chance.odds(0.1)) machine.loseIndex();
    await turnOfTheLoop();
    // The commit that it died of may be on disk.
    life.writer.tellLast();
    this.#check();
  }

  // ------------------------------------------------------------------------------------------------------ what happens

  async #step(): Promise<void> {
    const life = this.#live;
    const { machine, receivers } = this;
    const { chance } = machine;
    const dice = chance.random();
    if (dice < 0.12) for (let n = 1 + chance.below(3); n > 0; n--) this.#append();
    else if (dice < 0.3) receivers.answer();
    else if (dice < 0.38) life.turn();
    else if (dice < 0.5) life.writer.work(1 + chance.below(4));
    else if (dice < 0.6) life.writer.answer();
    else if (dice < 0.68) life.read(chance.odds(0.03));
    else if (dice < 0.73) life.index();
    else if (dice < 0.78) life.indexed();
    else if (dice < 0.87) await machine.pass(chance.below(chance.odds(0.1) ? 20_000 : 1500));
    else if (dice < 0.885) this.#reload();
    else if (dice < 0.9) this.#person();
    else if (dice < 0.92) life.writer.idle();
    else if (dice < 0.955) this.#reader();
    else if (dice < 0.985) await life.settle();
    else if (dice < 0.99) machine.stepClock();
    else if (dice < 0.995) await receivers.answerAll();
    else this.#refuse();
    await turnOfTheLoop();
    if (this.truth.broken !== null) throw this.truth.broken;
  }

  #append(): void {
    if (!this.#running) return;
    const { chance, clock } = this.machine;
    const n = this.sent.length;
    const list = Array.from({ length: 1 + chance.below(3) }, () => chance.below(6));
    const content = { n, color: chance.pick(COLORS), level: chance.below(10), list };
    const body = JSON.stringify(content);
    const event: NewEvent = {
      source: chance.pick(SOURCES),
      id: chance.pick([`again ${chance.below(5)}`, `free ${chance.below(5)}`, ...Array(8).fill(`id ${n}`)]),
      type: "t",
      subject: null,
      key: chance.pick([null, null, "k1", "k2", "k3"]),
      time: clock.wall(),
      headers: NO_HEADERS,
      body: Buffer.from(body),
      hops: 0,
      cause: null,
    };
    const sent: Sent = { event, said: "waiting" };
    this.sent.push(sent);
    const life = this.#live;
    life.append(event, isFree(event.id) ? null : 3 * DAY).then(
      (appended) => {
        if (life.ended) return;
        sent.said = appended;
        this.#told(sent, appended);
      },
      (error: unknown) => {
        if (life.ended) return;
        assert.ok(error instanceof LeatError, String(error));
        sent.said = ["journal_full", "journal_busy", "event_refused"].includes(error.code)
          ? "refused"
          : "unknown";
      },
    );
  }

  #refuse(): void {
    const address = `10.0.0.${this.machine.chance.below(5)}`;
    this.#live.journal.history.refuse({
      source: "orders",
      reason: "signature",
      address,
      detail: "no",
      body: null,
    });
  }

  /** J1: what is said yes to is on disk; a duplicate names the one it repeats. */
  #told({ event }: Sent, { seq, duplicate, differs }: Appended): void {
    const known = this.truth.events.get(seq);
    const told = known === undefined ? null : [known.source, known.id];
    this.truth.holdsThat(() => {
      assert.deepEqual(
        told,
        [event.source, event.id],
        `J1: ${event.source}/${event.id} was acknowledged as ${seq}`,
      );
      const same = known?.body === Buffer.from(event.body).toString();
      assert.equal(differs, duplicate && !same, `J1: ${seq} is a duplicate that differs`);
      if (!duplicate) assert.ok(same, `J1: ${seq} has another body`);
    });
  }

  #reload(): void {
    if (this.#reloading) return;
    this.#takeOver(nextConfiguration(this.#configuration, this.machine.chance));
  }

  /** A person pauses and resumes sinks, replays, and lets go what is owed or dead. */
  #person(): void {
    const { chance } = this.machine;
    const life = this.#live;
    const name = chance.pick([...this.truth.subscriptions.keys()]);
    const owed = name === undefined ? undefined : this.truth.subscription(name);
    if (name === undefined || owed === undefined) return;
    const { sink } = owed.definition;
    const dice = chance.random();
    if (dice < 0.4) this.#replay(name);
    else if (dice < 0.5 && !isStream(sink)) {
      if (life.delivery.pause(sink, "a person")) this.receivers.of(sink).pauses(life.clock.monotonic());
    } else if (dice < 0.85 && !isStream(sink)) {
      this.#resume(sink);
    } else if (dice < 0.9) this.#purge(name, "owed");
    else this.#purge(name, "dead");
  }

  /** What it lets go on goes on at once. */
  #resume(sink: string): void {
    const { delivery, clock } = this.#live;
    if (!delivery.status().some((gate) => gate.sink === sink)) return;
    this.receivers.of(sink).resumed(clock.monotonic());
    delivery.resume(sink);
  }

  #replay(name: string): void {
    const { chance } = this.machine;
    const seq = this.truth.newest - chance.below(12);
    this.#live.journal.ledger.replay(seq, name).catch((error: unknown) => {
      if (!(error instanceof LeatError)) this.truth.broken ??= error;
    });
  }

  #purge(name: string, what: "owed" | "dead"): void {
    if (this.#purging) return;
    const life = this.#live;
    const owed = this.truth.subscription(name);
    if (life.journal.ledger.subscription(name) === undefined || owed === undefined) return;
    this.#purging = true;
    if (what === "owed") owed.letsGo(life.journal.log.bounds().newest);
    const done = () => {
      if (!life.ended) this.#purging = false;
    };
    life.journal.ledger.purge(name, what).then(done, done);
  }

  #reader(): void {
    const { chance } = this.machine;
    const reader = chance.pick(this.readers);
    const stream = this.#streams.get("live");
    if (!this.#running || reader === undefined || stream === undefined) return;
    const dice = chance.random();
    if (!reader.connected) reader.connect(stream.endpoint());
    else if (dice < 0.3) reader.cut();
    else if (dice < 0.5) reader.stall();
    else reader.goOn();
  }

  // ------------------------------------------------------------------------------------------------------------ checks

  /** J3, at any moment, in memory. */
  #checkCounts(): void {
    for (const live of this.#live.journal.ledger.subscriptions()) {
      for (const { route, counts, replays } of live.counts()) {
        for (const tally of [counts, replays]) {
          const { accepted, pending, inFlight, retrying, filtered, delivered, dead, expired, purged } = tally;
          const sum = pending + inFlight + retrying + filtered + delivered + dead + expired + purged;
          const least = Math.min(pending, inFlight, retrying, filtered, delivered, dead, expired, purged);
          if (sum === accepted && least >= 0) continue;
          assert.fail(`J3: ${live.definition.name} ${route}: ${JSON.stringify(tally)}`);
        }
      }
    }
  }

  #check(): void {
    const { truth } = this;
    if (this.truth.broken !== null) throw this.truth.broken;
    truth.checkAccounts();
    truth.checkRemoved();
    for (const [n, { event, said }] of this.sent.entries()) {
      const refused = said === "refused" || (typeof said !== "string" && said.duplicate);
      assert.ok(
        !refused || !truth.took(n),
        `J2: ${event.source}/${event.id} was ${JSON.stringify(said)}, and is there`,
      );
    }
  }

  // ---------------------------------------------------------------------------------------------------------- liveness

  /** Faults end, receivers answer well, everything is named again, a person frees what only a person can. */
  async #finish(): Promise<void> {
    const { receivers, machine, truth } = this;
    receivers.kind = true;
    const names = new Set(truth.subscriptions.keys());
    this.#configuration = wholeConfiguration(this.#configuration, names, machine.chance);
    assert.ok(await this.#start(false));
    const life = this.#live;
    for (let n = 0; n < 5; n++) this.#append();
    for (let round = 0; round < 300; round++) {
      await life.settle();
      for (const reader of this.readers) {
        reader.goOn();
        const stream = this.#streams.get("live");
        if (!reader.connected && stream !== undefined) reader.connect(stream.endpoint());
      }
      await receivers.answerAll();
      await life.settle();
      this.#checkCounts();
      if (this.truth.broken !== null) throw this.truth.broken;
      if (round % 8 === 0) {
        for (const name of receivers.sinks.keys()) this.#resume(name);
        for (const name of truth.subscriptions.keys())
          life.journal.ledger.purge(name, "dead").catch(() => {});
      }
      const ended = life.journal.ledger.subscriptions().every((live) => live.lag() === null);
      if (ended && round > 20 && receivers.waiting === 0) break;
      await machine.pass(1000);
    }
    for (let seconds = 0; seconds < 25; seconds++) {
      await machine.pass(1000);
      await life.settle();
    }
    this.#checkEnd(life);
    await this.#stop(true);
  }

  #checkEnd(life: Life): void {
    const { truth } = this;
    assert.equal(life.committer.lost, null);
    assert.deepEqual(life.committer.intake(), { open: true });
    assert.equal(life.committer.uncommittedBytes, 0);
    const [ids] = this.machine.disk.all("SELECT count(*) AS n FROM dedupe");
    assert.equal(life.committer.state.dedupeIds, ids?.n, "the table of ids holds what its rows hold");
    for (const [sink, state] of truth.sinks) {
      assert.equal(
        state,
        JSON.stringify(life.journal.ledger.sinkState(sink)),
        `J7: the last state of ${sink} is on disk`,
      );
    }
    for (const [name, owed] of truth.subscriptions) {
      const live = life.journal.ledger.subscription(name);
      assert.ok(live !== undefined, `${name} is gone`);
      owed.checkEnd(live.counts());
    }
    for (const { event, said } of this.sent) {
      if (typeof said === "string") continue;
      const known = truth.events.get(said.seq);
      assert.deepEqual(
        [known?.source, known?.id],
        [event.source, event.id],
        `J1: ${said.seq} was acknowledged`,
      );
    }
    truth.checkDeaths();
    this.#checkReaders();
  }

  #checkReaders(): void {
    const owed = this.truth.subscription("live");
    const last = Math.max(0, ...[...(owed?.routes.values() ?? [])].flatMap((route) => [...route.owed]));
    for (const reader of this.readers) {
      assert.ok(reader.connected, "a reader is not connected");
      assert.ok(
        reader.position === null || reader.position >= last,
        `a reader at ${reader.position} has not got all up to ${last}`,
      );
      if (!this.machine.indexLost) {
        assert.equal(reader.gaps, 0, "a reader was told of a gap though nothing was removed");
      }
    }
  }
}

function isStorage(error: unknown): boolean {
  return error instanceof Error && "errcode" in error;
}
