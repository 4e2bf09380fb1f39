/** What delivery is given to work with: for each subscription a way to prepare its messages and a sink to hand them to. */
import type { PushedSink, StreamSink } from "../component.ts";
import type { SinkPolicy } from "../plan.ts";
import type { Prepare } from "../prepared.ts";

/** One pushed subscription: what a route's `to` names. */
export interface PushedTarget {
  readonly subscription: string;
  readonly route: string;
  readonly sinkName: string;
  readonly sink: PushedSink;
  readonly prepare: Prepare;
  /** The sink's policy with the target's `retry` over it. */
  readonly policy: SinkPolicy;
  /** The sink's own, for what its subscriptions share: concurrency, rate, breaker, holds. */
  readonly sinkPolicy: SinkPolicy;
}

/** One stream: its only subscription has its name. */
export interface StreamTarget {
  readonly stream: string;
  readonly sink: StreamSink;
  /** By route. */
  readonly routes: ReadonlyMap<string, Prepare>;
  /** How long the index keeps its frames, in ms; absent: as long as the journal keeps events. */
  readonly historyMs?: number;
  /** Channels longer than this, in bytes, are dead (`limits.channelBytes`). */
  readonly channelBytes: number;
}

export type AttemptOutcome = "delivered" | "retry" | "dead";

/** Told of what happens, for metrics; must neither throw nor wait. */
export interface DeliveryObserver {
  attempt(route: string, sink: string, outcome: AttemptOutcome, seconds: number): void;
  /** What a first delivery took from the event's acceptance on; a stream's: until it was handed to its readers. */
  delivered(route: string, sink: string, seconds: number): void;
  /** `reason` is a word of a small set: `match`, `where`, `absent_path`, … */
  filtered(route: string, sink: string, reason: string): void;
  /** Dead without an attempt: an expression, a channel, too many hops. */
  undeliverable(route: string, sink: string, error: string): void;
}

export const noObserver: DeliveryObserver = {
  attempt() {},
  delivered() {},
  filtered() {},
  undeliverable() {},
};
