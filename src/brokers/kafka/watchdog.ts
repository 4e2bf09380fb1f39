/**
 * Notices a consumer that has stalled without a word, as kafkajs' can (tulios/kafkajs#659, #1441, #1593). Its loop for
 * each broker says something twice a fetch, so twice a second, unless what it has fetched is still in hand.
 */
import { type Clock, STOOD_STILL_MS } from "../../ports.ts";

export interface WatchdogOptions {
  /** Silence for longer is a stall, in ms. */
  readonly stallMs: number;
  /** Joining the group may take so much longer: it waits for its slowest member. */
  readonly joinMs: number;
  /** Since when each of what is in hand has been there, by the monotonic clock. */
  inHand(): readonly number[];
  stalled(): void;
}

/** What was fetched is in hand so soon after the loop's last word, at the latest. */
const SLACK_MS = 5_000;

export class Watchdog {
  readonly #clock: Clock;
  readonly #options: WatchdogOptions;
  readonly #heard = new Map<number, number>();
  #joiningSince: number | null = null;
  #cancel: () => void = () => {};

  constructor(clock: Clock, options: WatchdogOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  start(): void {
    this.joining();
    this.#watch();
  }

  stop(): void {
    this.#cancel();
  }

  /** The loop of this broker goes round. */
  alive(node: number): void {
    this.#heard.set(node, this.#clock.monotonic());
  }

  joining(): void {
    this.#joiningSince = this.#clock.monotonic();
  }

  joined(): void {
    this.#joiningSince = null;
    // Which brokers there are may have changed, and each loop begins anew.
    this.#heard.clear();
    this.alive(-1);
  }

  #watch(): void {
    const everyMs = this.#options.stallMs / 5;
    const due = this.#clock.monotonic() + everyMs;
    this.#cancel = this.#clock.after(everyMs, () => {
      // The whole process stood still: nobody could say anything.
      if (this.#clock.monotonic() - due > STOOD_STILL_MS) this.#forgive();
      if (this.#silent()) this.#options.stalled();
      else this.#watch();
    });
  }

  #forgive(): void {
    const now = this.#clock.monotonic();
    if (this.#joiningSince !== null) this.#joiningSince = now;
    for (const node of this.#heard.keys()) this.#heard.set(node, now);
  }

  #silent(): boolean {
    const { stallMs, joinMs, inHand } = this.#options;
    const now = this.#clock.monotonic();
    if (this.#joiningSince !== null) return now - this.#joiningSince > stallMs + joinMs;
    // -1 stands for all loops until the first of them is heard.
    if (this.#heard.size > 1) this.#heard.delete(-1);
    for (const heard of this.#heard.values()) {
      if (now - heard > stallMs && !inHand().some((since) => since <= heard + SLACK_MS)) return true;
    }
    return false;
  }
}
