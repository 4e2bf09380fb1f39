/** kill -9 under load, at moments that are chosen, and the start after it. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { debuglog } from "node:util";
import { waitFor } from "../wait-for.ts";
import { laterStep } from "./later-schema.ts";
import { recordLedger } from "./ledger.ts";
import { type Moment, meetingOrder, moments } from "./moments.ts";
import { makeProving, type Proving } from "./proving.ts";
import { seeded } from "./seed.ts";

/** Only these moments; for looking into one. */
const ONLY = new RegExp(process.env.LEAT_MOMENT ?? "");
/** Longest that a chosen moment may take to come, in ms. */
const MOMENT_MS = 60_000;
/** So long an event is, and with so many there is more than the journal keeps: retention has been met, and comes again. */
const EVENT_BYTES = 2_500;
const FULL_EVENTS = 10_500;
/** A fifth of it is how far the stream may be behind on a busy machine before its events expire. */
const RETENTION = "retention: { age: 7d, size: 24MiB }";
/** NODE_DEBUG=faults shows what goes on. */
const debug = debuglog("faults");

/** Returns how long each start took until it was ready, in ms. */
export async function killOften(t: TestContext, kills: number): Promise<readonly number[]> {
  const { seed, chance } = seeded(t);
  const proving = await makeProving({ more: RETENTION });
  t.after(() => proving.close());
  const below = (end: number) => chance.below(end);
  /** Drawn anew for each kill: at which of its statements or calls a moment is met. */
  const drawn = () => moments(below, proving.planter.trigger).filter(({ name }) => ONLY.test(name));
  const names = drawn().map(({ name }) => name);
  const order = meetingOrder(names, kills, below);
  const run = new Kills(proving);
  await run.fill();
  for (const [kill, name] of order.entries()) {
    const moment = drawn().find((one) => one.name === name) as Moment;
    await run.meet(moment).catch((cause: unknown) => {
      throw new Error(
        `kill ${kill}: ${name} ${JSON.stringify(moment)}\n${proving.daemon.output().slice(-4000)}`,
        { cause },
      );
    });
    const { senders, landing, starts } = proving;
    debug("kill %d: %s: %d promised, start %d ms", kill, name, senders.promised.size, starts.at(-1));
    debug("%d received", landing.requests);
  }
  run.plant(null);
  assert.ok(await proving.start());
  const ledger = await proving.settle();
  recordLedger(t, { seed, kills, moments: new Set(order).size, ...ledger });
  return proving.starts;
}

class Kills {
  readonly #proving: Proving;
  /** A journal that a later Leat has brought on is one that only a later Leat opens. */
  readonly #steps: string[] = [];

  constructor(proving: Proving) {
    this.#proving = proving;
  }

  /** One more kill, at any moment, before those that count. */
  async fill(): Promise<void> {
    const { daemon, reader } = this.#proving;
    assert.ok(await this.#proving.start());
    // It resumes from what it has seen: what comes before its first connection is none of its.
    await waitFor("the stream's reader to be there", () => reader.connections > 0);
    this.#proving.send({ bytes: EVENT_BYTES });
    await this.#proving.load(FULL_EVENTS);
    daemon.signal("SIGKILL");
    assert.equal(await daemon.ended(), "SIGKILL");
  }

  /** Starts the daemon with the fault in it and sees it die of it. */
  async meet(moment: Moment): Promise<void> {
    const { daemon, planter, landing } = this.#proving;
    if (moment.migration === true) this.#steps.push(laterStep(this.#steps.length + 1));
    this.plant(moment);
    if (!(await this.#proving.start())) return;
    const before = landing.requests;
    landing.answer = () => {
      if (moment.receiver === undefined || landing.requests - before !== moment.receiver.nth) return 200;
      // Once this turn is over the answer is on its way.
      if (moment.receiver.when === "answered") setImmediate(() => daemon.signal("SIGKILL"));
      else daemon.signal("SIGKILL");
      return 200;
    };
    if (moment.reload === true) {
      await waitFor("some load before the reload", () => landing.requests > before + 50);
      this.#proving.turnConfiguration();
      planter.arm();
      daemon.signal("SIGHUP");
    }
    assert.equal(await soon(daemon.ended()), "SIGKILL");
  }

  plant(moment: Moment | null): void {
    const { planter, landing } = this.#proving;
    planter.disarm();
    const migrations = this.#steps.length > 0 ? { migrations: this.#steps } : {};
    planter.sql({ ...migrations, ...(moment?.sql && { fault: moment.sql }) });
    planter.disk(moment?.disk ?? null);
    landing.answer = () => 200;
  }
}

async function soon<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the moment never came")), MOMENT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
