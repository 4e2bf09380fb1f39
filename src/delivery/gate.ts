/**
 * The gate of one sink: what its subscriptions share. It says how many deliveries may start now, and whose turn it is:
 * within the slots (`concurrency`) and tokens (`rate`), and as far as the guard lets anything through. A delivery that
 * turns out filtered gives its slot and token back.
 */
import type { Report } from "../component.ts";
import type { SinkPolicy } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import { TokenBucket } from "../token-bucket.ts";
import { type BreakerChange, Guard, type GuardStatus, type SinkStateStore } from "./guard.ts";

/** One subscription at the gate. */
export interface Entrant {
  /** Starts up to `max` deliveries, calling `enter` for each; returns how many there were, 0 when nothing is due. */
  start(max: number): number;
}

/** An entrant's place in the turns. */
export interface Seat {
  /** The entrant may have something to deliver. */
  wake(): void;
  leave(): void;
}

export interface GateStatus extends GuardStatus {
  readonly sink: string;
  readonly inFlight: number;
}

/** How long starting deliveries may keep the event loop at a stretch: a run of filtered events is work without a wait. */
const STRETCH_MS = 5;

export class Gate {
  readonly sink: string;
  readonly #clock: Clock;
  readonly #guard: Guard;
  #policy: SinkPolicy;
  #bucket: TokenBucket | null;

  readonly #entrants: { readonly entrant: Entrant; ready: boolean }[] = [];
  #turn = 0;
  #pumping = false;
  #resuming = false;
  #closed = false;
  #cancelTimer: (() => void) | null = null;
  #timerAt = 0;

  #inFlight = 0;
  #probing = false;

  constructor(sink: string, policy: SinkPolicy, store: SinkStateStore, clock: Clock, log: Logger) {
    this.sink = sink;
    this.#policy = policy;
    this.#clock = clock;
    this.#guard = new Guard(sink, store, clock, log);
    this.#bucket = policy.rate === null ? null : TokenBucket.ofSink(policy.rate, clock.monotonic());
  }

  /** A reload's policy. What has begun ends as it began. */
  configure(policy: SinkPolicy): void {
    const { rate } = policy;
    if (rate?.count !== this.#policy.rate?.count || rate?.perMs !== this.#policy.rate?.perMs) {
      this.#bucket = rate === null ? null : TokenBucket.ofSink(rate, this.#clock.monotonic());
    }
    this.#policy = policy;
    this.#pump();
  }

  // ---------------------------------------------------------------------------------------------------------- turns

  join(entrant: Entrant): Seat {
    const place = { entrant, ready: false };
    this.#entrants.push(place);
    return {
      wake: () => {
        place.ready = true;
        this.#pump();
      },
      leave: () => {
        const index = this.#entrants.indexOf(place);
        if (index !== -1) this.#entrants.splice(index, 1);
      },
    };
  }

  /** Nobody has a place or a delivery under way. */
  get empty(): boolean {
    return this.#entrants.length === 0 && this.#inFlight === 0;
  }

  /** Nothing starts any more. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #pump(): void {
    if (this.#pumping || this.#closed) return;
    this.#pumping = true;
    const start = this.#clock.monotonic();
    try {
      for (let idle = 0; idle < this.#entrants.length; ) {
        const free = this.#free();
        if (free === 0) return;
        this.#turn = (this.#turn + 1) % this.#entrants.length;
        const place = this.#entrants[this.#turn];
        // An equal part for each of those that want one; whoever is next gets what is left over.
        const share = Math.ceil(free / this.#entrants.length);
        if (place?.ready && place.entrant.start(share) > 0) idle = 0;
        else {
          if (place) place.ready = false;
          idle++;
        }
        if (this.#clock.monotonic() - start > STRETCH_MS) {
          this.#resume();
          return;
        }
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** Goes on after the event loop has seen to the others. */
  #resume(): void {
    if (this.#resuming) return;
    this.#resuming = true;
    setImmediate(() => {
      this.#resuming = false;
      this.#pump();
    });
  }

  /** How many may start now; where time will change that, a timer is set. */
  #free(): number {
    const slots = this.#policy.concurrency - this.#inFlight;
    if (slots <= 0) return 0;
    const now = this.#clock.monotonic();
    const wait = this.#guard.waitMs(now);
    if (wait > 0) return this.#later(now, wait);
    if (this.#guard.probes && this.#probing) return 0;
    const free = this.#guard.probes ? 1 : slots;
    if (this.#bucket === null) return free;
    const tokens = this.#bucket.available(now);
    return tokens === 0 ? this.#later(now, this.#bucket.waitMs(now)) : Math.min(free, tokens);
  }

  #later(now: number, wait: number): 0 {
    if (wait === Number.POSITIVE_INFINITY) return 0;
    if (this.#cancelTimer !== null && this.#timerAt <= now + wait) return 0;
    this.#cancelTimer?.();
    this.#timerAt = now + wait;
    this.#cancelTimer = this.#clock.after(wait, () => {
      this.#cancelTimer = null;
      this.#pump();
    });
    return 0;
  }

  // ----------------------------------------------------------------------------------------------------- deliveries

  /** A delivery starts; true when it is a probe. Ended by exactly one `exit`. */
  enter(): boolean {
    this.#inFlight++;
    this.#bucket?.take();
    if (!this.#guard.probes) return false;
    this.#probing = true;
    return true;
  }

  /** A delivery has ended, or came to nothing without an attempt (`attempted` false). */
  exit(probe: boolean, attempted: boolean): void {
    this.#inFlight--;
    if (probe) this.#probing = false;
    if (!attempted) this.#bucket?.giveBack();
    this.#pump();
  }

  /** Takes in what an attempt showed; to be called before its settlement, so that no commit has only the settlement. */
  learn(report: Report, probe: boolean): BreakerChange | null {
    return this.#guard.learn(report, probe, this.#policy);
  }

  // --------------------------------------------------------------------------------------------------------- people

  pause(reason: string): void {
    this.#guard.pause(reason);
  }

  resume(): void {
    this.#guard.resume();
    this.#pump();
  }

  status(): GateStatus {
    return { sink: this.sink, inFlight: this.#inFlight, ...this.#guard.status() };
  }
}
