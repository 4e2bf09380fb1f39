/** A person at the console: pauses and resumes sinks, replays, lets go what is owed or dead. */
import { LeatError } from "../../src/errors.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";
import { isStream } from "./configuration.ts";
import type { Life } from "./life.ts";
import type { Receivers } from "./receivers.ts";
import type { Truth } from "./truth.ts";

export class Person {
  readonly #truth: Truth;
  readonly #receivers: Receivers;
  readonly #chance: SeededChance;
  /** Where a purge is under way no other is asked for. */
  #purging: Life | null = null;

  constructor(truth: Truth, receivers: Receivers, chance: SeededChance) {
    this.#truth = truth;
    this.#receivers = receivers;
    this.#chance = chance;
  }

  act(life: Life): void {
    const names = [...this.#truth.subscriptions.keys()];
    const name = this.#chance.pick(this.#chance.odds(0.3) ? names.filter(isStream) : names);
    const owed = name === undefined ? undefined : this.#truth.subscription(name);
    if (name === undefined || owed === undefined) return;
    const { sink } = owed.definition;
    const dice = this.#chance.random();
    if (dice < 0.4) this.#replay(life, name);
    else if (dice < 0.5 && !isStream(sink)) this.#pause(life, sink);
    else if (dice < 0.85 && !isStream(sink)) this.resume(life, sink);
    else this.#purge(life, name, dice < 0.9 ? "owed" : "dead");
  }

  #pause({ delivery, clock }: Life, sink: string): void {
    if (delivery.pause(sink, "a person")) this.#receivers.of(sink).pauses(clock.monotonic());
  }

  resume({ delivery, clock }: Life, sink: string): void {
    if (!delivery.status().some((gate) => gate.sink === sink)) return;
    // What it lets go on goes on at once.
    this.#receivers.of(sink).resumed(clock.monotonic());
    delivery.resume(sink);
  }

  /** Frees what only a person can free. */
  freeAll(life: Life): void {
    for (const sink of this.#receivers.sinks.keys()) this.resume(life, sink);
    for (const name of this.#truth.subscriptions.keys()) {
      life.journal.ledger.purge(name, "dead").catch(() => {});
    }
  }

  #replay({ journal }: Life, name: string): void {
    const seq = this.#truth.newest - this.#chance.below(12);
    journal.ledger.replay(seq, name).catch((error: unknown) => {
      if (!(error instanceof LeatError)) this.#truth.broken ??= error;
    });
  }

  #purge(life: Life, name: string, what: "owed" | "dead"): void {
    const { ledger, log } = life.journal;
    const owed = this.#truth.subscription(name);
    if (this.#purging === life || owed === undefined || ledger.subscription(name) === undefined) return;
    this.#purging = life;
    if (what === "owed") owed.letsGo(log.bounds().newest);
    const done = () => {
      if (this.#purging === life) this.#purging = null;
    };
    ledger.purge(name, what).then(done, done);
  }
}
