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

interface Place {
  readonly entrant: Entrant;
  /** Waits for its turn. */
  queued: boolean;
}

export interface GateStatus extends GuardStatus {
  readonly sink: string;
  readonly inFlight: number;
}

/** How long starting deliveries may keep one turn of the event loop: a run of filtered events is work without a wait. */
const STRETCH_MS = 5;

export class Gate {
  readonly sink: string;
  readonly #clock: Clock;
  readonly #guard: Guard;
  #policy: SinkPolicy;
  #bucket: TokenBucket | null;

  readonly #places = new Set<Place>();
  /** Whoever may have something to deliver, in the order of their turns: from `#head` on. */
  #queue: Place[] = [];
  #head = 0;
  #pumpSoon = false;
  /** When this turn of the event loop began to start deliveries; null: it hasn't. */
  #turnBegan: number | null = null;
  /** This turn has had its time: the next goes on. */
  #resting = false;
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
    this.#soon();
  }

  // ---------------------------------------------------------------------------------------------------------- turns

  join(entrant: Entrant): Seat {
    const place: Place = { entrant, queued: false };
    this.#places.add(place);
    return {
      wake: () => {
        this.#enqueue(place);
        this.#soon();
      },
      leave: () => {
        this.#places.delete(place);
      },
    };
  }

  /** Nobody has a place or a delivery under way. */
  get empty(): boolean {
    return this.#places.size === 0 && this.#inFlight === 0;
  }

  /** Nothing starts any more. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #enqueue(place: Place): void {
    if (place.queued) return;
    place.queued = true;
    this.#queue.push(place);
  }

  #dequeue(): Place | undefined {
    const place = this.#queue[this.#head];
    if (place === undefined) return undefined;
    place.queued = false;
    // Moved up only when half of it is behind the head: a shift for each would be quadratic in the routes.
    if (++this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return place;
  }

  /** Starts what may start, once for all that asks for it meanwhile: a commit wakes each route of the sink. */
  #soon(): void {
    if (this.#pumpSoon || this.#resting) return;
    this.#pumpSoon = true;
    queueMicrotask(() => {
      this.#pumpSoon = false;
      if (!this.#resting) this.#pump();
    });
  }

  #pump(): void {
    if (this.#closed || this.#head === this.#queue.length) return;
    const began = this.#beginTurn();
    for (;;) {
      const free = this.#free();
      if (free === 0) return;
      // An equal part for each of those that want one; whoever is next gets what is left over.
      const share = Math.ceil(free / (this.#queue.length - this.#head));
      const place = this.#dequeue();
      if (place === undefined) return;
      if (this.#places.has(place) && place.entrant.start(share) > 0) this.#enqueue(place);
      if (this.#clock.monotonic() - began > STRETCH_MS) {
        this.#resting = true;
        return;
      }
    }
  }

  /** When this turn of the event loop began; at its end, what it had no time for goes on. */
  #beginTurn(): number {
    if (this.#turnBegan !== null) return this.#turnBegan;
    this.#turnBegan = this.#clock.monotonic();
    setImmediate(() => {
      this.#turnBegan = null;
      if (!this.#resting) return;
      this.#resting = false;
      this.#pump();
    });
    return this.#turnBegan;
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
      this.#soon();
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
    this.#soon();
  }

  /** Takes in what an attempt showed; to be called before its settlement, so that no commit has only the settlement. */
  learn(report: Report, probe: boolean): BreakerChange | null {
    return this.#guard.learn(report, probe, this.#policy);
  }

  /** The sink has its broker again. */
  reconnected(): void {
    if (this.#guard.reconnected()) this.#soon();
  }

  // --------------------------------------------------------------------------------------------------------- people

  pause(reason: string): void {
    this.#guard.pause(reason);
  }

  resume(): void {
    this.#guard.resume();
    this.#soon();
  }

  status(): GateStatus {
    return { sink: this.sink, inFlight: this.#inFlight, ...this.#guard.status() };
  }
}
