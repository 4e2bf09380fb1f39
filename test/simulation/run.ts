/**
 * One run of the simulation: some lives of a process on one machine, each with a fault somewhere, while senders send,
 * receivers stumble, readers come and go, and a person edits the configuration. Then faults end, and all that is owed has
 * to come to its end (liveness). Everything is drawn from one seed: the same seed makes the same run.
 */
import assert from "node:assert/strict";
import type { Assembly, BuiltSink } from "../../src/daemon/assembly.ts";
import { noObserver } from "../../src/delivery/target.ts";
import { LeatError } from "../../src/errors.ts";
import type { JournalTuning } from "../../src/journal/journal.ts";
import type { Fault } from "../journal/simulation/faulty-storage.ts";
import { Audience } from "./audience.ts";
import {
  type Configuration,
  firstConfiguration,
  nextConfiguration,
  wholeConfiguration,
} from "./configuration.ts";
import { Life } from "./life.ts";
import { Machine, turnOfTheLoop } from "./machine.ts";
import { Person } from "./person.ts";
import { Receivers } from "./receivers.ts";
import { Senders } from "./senders.ts";
import { stillTime } from "./still-time.ts";
import { Truth } from "./truth.ts";

const DAY = 86_400_000;
const LIVES = 3;
const STEPS = 130;

export class Run {
  readonly machine: Machine;
  readonly truth: Truth;
  readonly receivers: Receivers;
  readonly senders: Senders;
  readonly audience: Audience;
  readonly #person: Person;
  readonly #tuning: JournalTuning;
  #configuration: Configuration;
  #life: Life | null = null;
  #sinks = new Map<string, BuiltSink>();
  #reloading = false;
  /** Sources and streams are open: the first configuration of this life holds. */
  #running = false;
  /** Processes that did not end as they should. */
  crashes = 0;

  constructor(seed: number) {
    this.machine = new Machine(seed);
    const { machine } = this;
    const { chance, clock } = machine;
    this.#tuning = {
      retention: {
        ageMs: chance.odds(0.5) ? 300 * DAY : chance.odds(0.5) ? 600_000 : 20_000,
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
    this.senders = new Senders(this.truth, chance);
    this.audience = new Audience("live", this.truth);
    this.#person = new Person(this.truth, this.receivers, chance);
    this.#configuration = firstConfiguration(chance, this.#tuning.retention);
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
    this.#sinks = this.#makeSinks(life);
    const opened = life.open();
    await life.settle();
    if (!life.crashed) await opened;
    this.#takeOver(this.#configuration, true);
    await life.settle();
    return true;
  }

  #makeSinks(life: Life): Map<string, BuiltSink> {
    const sinks = new Map<string, BuiltSink>();
    for (const plan of this.#configuration.plan.sinks) {
      const { name } = plan;
      if (plan.kind === "stream") {
        sinks.set(name, { kind: "stream", plan, component: this.audience.sink(life) });
        continue;
      }
      const component = this.receivers.sink(name, () => !life.ended);
      sinks.set(name, { kind: "pushed", plan, component, standing: { status: () => null } });
    }
    return sinks;
  }

  /** As `assemble`: what a reload finds alike it takes over. */
  #assembly({ plan }: Configuration, made: ReadonlyMap<string, BuiltSink>): Assembly {
    const sinks = new Map<string, BuiltSink>();
    for (const one of plan.sinks) {
      const built = made.get(one.name);
      if (built !== undefined) sinks.set(one.name, { ...built, plan: one });
    }
    return { plan, sources: new Map(), sinks };
  }

  /** In the background: the steps go on meanwhile. */
  #takeOver(configuration: Configuration, starting = false, anew = false): void {
    const life = this.#live;
    const sinks = anew ? this.#withStreamAnew(life, configuration) : this.#sinks;
    this.#configuration = configuration;
    this.#reloading = true;
    this.truth.takesOn(configuration);
    if (starting) this.truth.holds();
    const swapped = async () => {
      // What was leased before is still made by the old routes.
      await turnOfTheLoop();
      if (life.ended) return;
      this.truth.holds();
      this.#swapStream(life, sinks);
      const named = new Set(configuration.routes.flatMap(({ to }) => to.map(({ sink }) => sink)));
      for (const [name, sink] of this.receivers.sinks) {
        if (named.has(name)) sink.named();
        else sink.left();
      }
      this.#reloading = false;
      this.#running = true;
    };
    life
      .takeOver(this.#assembly(configuration, sinks), () => void swapped())
      .catch((error: unknown) => {
        if (!(error instanceof LeatError)) this.truth.broken ??= error;
        if (!life.ended) this.#reloading = false;
      });
  }

  /** The stream's own settings have changed: another takes its place. One that no route names has none to take. */
  #withStreamAnew(life: Life, { plan, routes }: Configuration): Map<string, BuiltSink> {
    const { name } = this.audience;
    const sinks = new Map(this.#sinks);
    const one = plan.sinks.find((each) => each.name === name);
    const named = routes.some(({ to }) => to.some(({ sink }) => sink === name));
    if (one?.kind === "stream" && named) {
      sinks.set(name, { kind: "stream", plan: one, component: this.audience.sink(life) });
    }
    return sinks;
  }

  #swapStream(life: Life, sinks: Map<string, BuiltSink>): void {
    this.#sinks = sinks;
    const built = sinks.get(this.audience.name);
    if (built?.kind !== "stream") return;
    const before = this.audience.comeTo(built.component);
    if (before === null || before === built.component || life.ended) return;
    void before.stop().finally(() => life.delivery.stopped([before]));
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
    this.audience.cut();
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
    if (dice < 0.12) this.#send(1 + chance.below(3));
    else if (dice < 0.3) receivers.answer();
    else if (dice < 0.38) life.turn();
    else if (dice < 0.5) life.writer.work(1 + chance.below(4));
    else if (dice < 0.6) life.writer.answer();
    else if (dice < 0.68) life.read(chance.odds(0.03));
    else if (dice < 0.73) life.index();
    else if (dice < 0.78) life.indexed();
    else if (dice < 0.87) await machine.pass(chance.below(chance.odds(0.1) ? 20_000 : 1500));
    else if (dice < 0.885) this.#reload();
    else if (dice < 0.92) this.#person.act(life);
    else if (dice < 0.955) life.writer.idle();
    else if (dice < 0.985) await life.settle();
    else if (dice < 0.99) {
      machine.stepClock();
      receivers.stepped();
    } else if (dice < 0.995) await receivers.answerAll();
    else this.senders.bother(life);
    // Readers come and go much more often than a person acts, and often while what they come for is on its way.
    if (this.#running && chance.odds(0.06)) this.audience.act(chance);
    await turnOfTheLoop();
    if (this.truth.broken !== null) throw this.truth.broken;
  }

  #send(count: number): void {
    for (let n = 0; n < count && this.#running; n++) this.senders.send(this.#live);
  }

  #reload(): void {
    if (this.#reloading) return;
    const { chance } = this.machine;
    this.#takeOver(nextConfiguration(this.#configuration, chance), false, chance.odds(0.5));
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
    this.senders.check();
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
    this.#send(5);
    await this.#comeToRest(life);
    await this.#reloadAtRest(life);
    await this.#comeToRest(life);
    for (let seconds = 0; seconds < 25; seconds++) {
      await machine.pass(1000);
      await life.settle();
    }
    this.#checkEnd(life);
    await this.#stop(true);
  }

  /** The stream is replaced while the last events are on their way to it: who comes then gets them, and nothing follows. */
  async #reloadAtRest(life: Life): Promise<void> {
    const { chance } = this.machine;
    this.audience.leave();
    this.#send(3);
    for (let turns = chance.below(4); turns > 0; turns--) life.turn();
    this.#takeOver(this.#configuration, false, true);
    await life.settle();
  }

  async #comeToRest(life: Life): Promise<void> {
    const { receivers, machine } = this;
    for (let round = 0; round < 300; round++) {
      await life.settle();
      this.audience.gather();
      await receivers.answerAll();
      await life.settle();
      this.#checkCounts();
      if (this.truth.broken !== null) throw this.truth.broken;
      if (round % 8 === 0) this.#person.freeAll(life);
      const ended = life.journal.ledger.subscriptions().every((live) => live.lag() === null);
      if (ended && round > 20 && receivers.waiting === 0) break;
      await machine.pass(1000);
    }
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
    truth.checkDeaths();
    this.audience.checkEnd(!this.machine.indexLost);
  }
}

function isStorage(error: unknown): boolean {
  return error instanceof Error && "errcode" in error;
}
