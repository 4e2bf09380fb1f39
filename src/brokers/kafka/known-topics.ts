/**
 * Whether a topic is there, asked before anything is written to it: kafkajs would keep asking for one that isn't, and
 * what waits for other topics would wait with it.
 */
import type { Clock } from "../../ports.ts";
import { BrokerError } from "../supervise.ts";

/** One that isn't there is asked for again after so long, in ms. */
const ABSENT_MS = 5_000;
/** Topics that events name can be any number. */
const MOST = 10_000;

export class KnownTopics {
  readonly #clock: Clock;
  readonly #exists: (topic: string) => Promise<void>;
  readonly #there = new Set<string>();
  readonly #asking = new Map<string, Promise<BrokerError | null>>();
  readonly #absent = new Map<string, { readonly error: BrokerError; readonly until: number }>();

  /** `exists` rejects with a BrokerError where it isn't there, or nobody knows. */
  constructor(clock: Clock, exists: (topic: string) => Promise<void>) {
    this.#clock = clock;
    this.#exists = exists;
  }

  /** Null: it is there. At once where that is known. */
  why(topic: string): BrokerError | null | Promise<BrokerError | null> {
    if (this.#there.has(topic)) return null;
    const absent = this.#absent.get(topic);
    if (absent !== undefined && absent.until > this.#clock.monotonic()) return absent.error;
    let asking = this.#asking.get(topic);
    if (asking === undefined) {
      asking = this.#ask(topic).finally(() => this.#asking.delete(topic));
      this.#asking.set(topic, asking);
    }
    return asking;
  }

  forget(topic: string): void {
    this.#there.delete(topic);
  }

  async #ask(topic: string): Promise<BrokerError | null> {
    if (this.#absent.size >= MOST) this.#absent.clear();
    if (this.#there.size >= MOST) this.#there.clear();
    try {
      await this.#exists(topic);
      this.#absent.delete(topic);
      this.#there.add(topic);
      return null;
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#absent.set(topic, { error, until: this.#clock.monotonic() + ABSENT_MS });
      return error;
    }
  }
}
