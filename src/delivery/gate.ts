/**
 * The gate of one sink: what its subscriptions share. It says how many deliveries may start now, and whose turn it is.
 *
 * - Slots (`concurrency`) and tokens (`rate`). A delivery that turns out filtered gives both back.
 * - A pause (by a person, or a 410) lets nothing through until a person resumes it.
 * - A hold (429 with Retry-After) and an open breaker let nothing through until their time, and then one delivery at a
 *   time as a probe, until the receiver has shown life.
 *
 * Pause, hold and breaker are kept in the journal (J7). Deadlines count on the monotonic clock; what comes back from
 * the journal is cut to the wait that was set, so that a stepped clock can't stretch it.
 */
import type { Report } from "../component.ts";
import type { SinkState } from "../journal/journal.ts";
import type { SinkPolicy } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import { type Breaker, breakerAfter, CLOSED, signOf } from "./breaker.ts";
import { TokenBucket } from "./rate.ts";
import { grantedWait } from "./retry.ts";

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

/** Where the sink's durable state is kept: the ledger. */
export interface SinkStateStore {
  sinkState(sink: string): SinkState;
  setSinkState(sink: string, state: SinkState): void;
}

export interface GateStatus {
  readonly sink: string;
  readonly inFlight: number;
  readonly paused: string | null;
  /** Milliseconds until its end; null when there is none. */
  readonly heldMs: number | null;
  readonly breaker: "closed" | "open" | "probing";
}

/** How long starting deliveries may keep the event loop at a stretch: a run of filtered events is work without a wait. */
const STRETCH_MS = 5;

export class Gate {
  readonly sink: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #store: SinkStateStore;
  #policy: SinkPolicy;
  #bucket: TokenBucket | null;

  readonly #entrants: { readonly entrant: Entrant; ready: boolean }[] = [];
  #turn = 0;
  #pumping = false;
  #resuming = false;
  #closed = false;
  #cancelTimer: (() => void) | null = null;
  #timerAt = Number.POSITIVE_INFINITY;

  #inFlight = 0;
  #probing = false;
  #paused: string | null;
  #breaker: Breaker = CLOSED;
  /** Monotonic; null when there is none. Past it, and until there was a sign, one event probes. */
  #heldUntil: number | null = null;
  #openUntil = 0;

  constructor(sink: string, policy: SinkPolicy, store: SinkStateStore, clock: Clock, log: Logger) {
    this.sink = sink;
    this.#policy = policy;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    const now = clock.monotonic();
    this.#bucket = policy.rate === null ? null : new TokenBucket(policy.rate, now);
    const { hold, paused, breaker } = store.sinkState(sink);
    const left = (until: number, most: number) => Math.min(Math.max(until - clock.wall(), 0), most);
    this.#paused = paused;
    if (hold !== null) this.#heldUntil = now + left(hold.until, hold.ms);
    if (breaker !== null) {
      this.#breaker = { failures: breaker.failures, waitMs: breaker.waitMs };
      this.#openUntil = now + left(breaker.openUntil, breaker.waitMs);
    }
  }

  /** A reload's policy. What has begun ends as it began. */
  configure(policy: SinkPolicy): void {
    const { rate } = policy;
    if (rate?.count !== this.#policy.rate?.count || rate?.perMs !== this.#policy.rate?.perMs) {
      this.#bucket = rate === null ? null : new TokenBucket(rate, this.#clock.monotonic());
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
    if (slots <= 0 || this.#paused !== null) return 0;
    const now = this.#clock.monotonic();
    let free = slots;
    if (this.#guarded) {
      const wait = Math.max(this.#heldUntil ?? 0, this.#breaker.waitMs === null ? 0 : this.#openUntil) - now;
      if (wait > 0) return this.#later(now, wait);
      if (this.#probing) return 0;
      free = 1;
    }
    if (this.#bucket === null) return free;
    const tokens = this.#bucket.available(now);
    return tokens === 0 ? this.#later(now, this.#bucket.waitMs(now)) : Math.min(free, tokens);
  }

  /** A hold or an open breaker: at most one event may go, as a probe. */
  get #guarded(): boolean {
    return this.#heldUntil !== null || this.#breaker.waitMs !== null;
  }

  #later(now: number, wait: number): 0 {
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

  /** A delivery starts; true when it is the probe. Ended by exactly one `exit`. */
  enter(): boolean {
    this.#inFlight++;
    this.#bucket?.take();
    if (!this.#guarded) return false;
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

  /**
   * Takes in what an attempt showed; to be called before its settlement, so that both are in one commit or the state is
   * the newer one. Returns what it did to the breaker, with the failures in a row.
   */
  learn(
    report: Report,
    probe: boolean,
  ): { readonly state: "open" | "closed"; readonly failures: number } | null {
    const sign = signOf(report);
    if (sign === null) return null;
    const before = this.#breaker;
    this.#breaker = breakerAfter(before, sign, probe, this.#policy.breaker);
    const changed = before !== this.#breaker && (before.waitMs !== null || this.#breaker.waitMs !== null);
    const now = this.#clock.monotonic();
    if (changed && this.#breaker.waitMs !== null) this.#openUntil = now + this.#breaker.waitMs;

    let held = false;
    if (report.result === "failed" && report.status === 429 && report.retryAfterMs !== undefined) {
      const until = now + grantedWait(this.#policy.retry, report.retryAfterMs);
      held = this.#heldUntil === null || until > this.#heldUntil;
      if (held) this.#heldUntil = until;
    } else if (this.#heldUntil !== null && probe) {
      this.#heldUntil = null;
      held = true;
    }
    const gone = report.result === "failed" && report.gone === true && this.#paused === null;
    if (gone) {
      this.#paused = "the receiver answered 410 Gone";
      this.#log.warn({ sink: this.sink }, "sink paused: its receiver is gone for good");
    }
    if (changed || held || gone) this.#store.setSinkState(this.sink, this.#state(now));
    return this.#breakerChange(before);
  }

  #breakerChange(before: Breaker): { readonly state: "open" | "closed"; readonly failures: number } | null {
    const { waitMs, failures } = this.#breaker;
    if ((before.waitMs === null) === (waitMs === null)) return null;
    if (waitMs !== null) {
      this.#log.warn({ sink: this.sink, failures, probe_ms: waitMs }, "breaker opened");
      return { state: "open", failures };
    }
    this.#log.info({ sink: this.sink, failures: before.failures }, "breaker closed");
    return { state: "closed", failures: before.failures };
  }

  #state(now: number): SinkState {
    const wall = this.#clock.wall();
    const { failures, waitMs } = this.#breaker;
    const held = this.#heldUntil === null ? null : Math.max(0, Math.round(this.#heldUntil - now));
    return {
      hold: held === null ? null : { until: wall + held, ms: held },
      paused: this.#paused,
      breaker:
        waitMs === null
          ? null
          : { failures, openUntil: Math.round(wall + Math.max(0, this.#openUntil - now)), waitMs },
    };
  }

  // -------------------------------------------------------------------------------------------------------- people

  pause(reason: string): void {
    this.#paused = reason;
    this.#store.setSinkState(this.sink, this.#state(this.#clock.monotonic()));
    this.#log.info({ sink: this.sink, reason }, "sink paused");
  }

  /** Ends a pause, and has a hold or an open breaker probed at once. */
  resume(): void {
    const now = this.#clock.monotonic();
    this.#paused = null;
    this.#openUntil = now;
    if (this.#heldUntil !== null) this.#heldUntil = now;
    this.#store.setSinkState(this.sink, this.#state(now));
    this.#log.info({ sink: this.sink }, "sink resumed");
    this.#pump();
  }

  status(): GateStatus {
    const now = this.#clock.monotonic();
    const open = this.#breaker.waitMs !== null;
    return {
      sink: this.sink,
      inFlight: this.#inFlight,
      paused: this.#paused,
      heldMs: this.#heldUntil === null || this.#heldUntil <= now ? null : Math.round(this.#heldUntil - now),
      breaker: !open ? "closed" : this.#openUntil > now ? "open" : "probing",
    };
  }
}
