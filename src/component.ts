/**
 * What a source and a sink are, and the host they are given.
 *
 * A component is one file in `sources/` or `sinks/`: its schema with descriptions and defaults, its factory, its class.
 * `components.ts` lists them all. A further power (an HTTP endpoint, a probe) is an interface of its own, found by a
 * guard, so that a simple component stays simple.
 *
 * The life of a component: `create` (no I/O, may throw a LeatError of kind `configuration`) → `start` → … → `stop`.
 * A reload creates the new ones beside the old, starts them, swaps the routes and endpoints, and stops the old; a
 * component whose configuration didn't change is left alone.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ZodType } from "zod";
import type { Event, PackedHeaders, Seq } from "./event.ts";
import type { Clock, Logger } from "./ports.ts";

// ---------------------------------------------------------------------------------------------------------------- HTTP

/** A place on the public listener. A path is taken by one endpoint; `subtree` takes what lies below it too. */
export interface HttpEndpoint {
  /** Begins with `/`, has no trailing one. */
  readonly path: string;
  readonly subtree: boolean;
  /**
   * Answers one request. `rest` is the path after `path` ("" or "/…", still percent-encoded, without the query).
   * May be async; a rejection is answered 500 and logged, so it should not happen for anything a client can cause.
   */
  handle(request: IncomingMessage, response: ServerResponse, rest: string): void | Promise<void>;
}

/** An endpoint that a client may ask for another protocol than HTTP on its connection (RFC 9110, 7.8). */
export interface UpgradableEndpoint extends HttpEndpoint {
  /** As `Upgrade` names it, in lower case: `websocket`. */
  readonly upgradesTo: string;
  /**
   * Takes the connection over: answers the request on it, or says why not. Nothing else is under way on it, and what comes
   * of it (its errors, its end) is the endpoint's from here on. `head` is what came behind the request. Must not throw.
   */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void;
}

export function isUpgradable(endpoint: HttpEndpoint): endpoint is UpgradableEndpoint {
  return "upgrade" in endpoint && typeof endpoint.upgrade === "function";
}

/** Has an HTTP endpoint on the public listener. */
export interface HasEndpoint {
  endpoint(): HttpEndpoint;
}

export function hasEndpoint(component: object): component is HasEndpoint {
  return "endpoint" in component && typeof component.endpoint === "function";
}

// ---------------------------------------------------------------------------------------------------------- Connections

/**
 * A broker named once under `connections:`, with its secrets and TLS. A source or sink that names it by `connection:` has
 * its fields as if they stood on itself; what stands there wins. It is configuration only: nothing is shared at run time,
 * since a source and a sink each need a client of their own.
 */
export interface ConnectionType<C = unknown> {
  readonly kind: "connection";
  readonly type: string;
  readonly description: string;
  readonly schema: ZodType<C>;
}

/** How a component stands with the broker it talks to. */
export type Standing =
  | { readonly state: "connected" }
  | {
      readonly state: "waiting";
      /** Lower snake case: `connection_refused`, `auth`, `unknown_topic`, … */
      readonly error: string;
      /** For people: what is wrong and what to do about it. Holds no secret. */
      readonly message: string;
    };

// -------------------------------------------------------------------------------------------------------------- Sources

/** What `append` resolves with, once the event (or the one it repeats) is on disk (J1). */
export interface Appended {
  readonly seq: Seq;
  readonly id: string;
  /** The source had this id within its `dedupe` window: nothing was appended, `seq` is the first one's. */
  readonly duplicate: boolean;
  /** A duplicate whose body is not the first one's. It is kept as refused. */
  readonly differs: boolean;
}

/** Something that came and was not taken, kept within a bound so that a person can see it (J2). */
export interface NewRefusal {
  readonly source: string;
  /** A stable word, lower snake case: `signature`, `too_large`, `duplicate_differs`, `encoding`, `rate`, … */
  readonly reason: string;
  /** Where it came from, such as the peer's IP address; refusals coalesce by (source, reason, address). */
  readonly address: string;
  /** For people; holds no secret. */
  readonly detail: string;
  /** At most the first 1 KiB of the body. */
  readonly body: Uint8Array | null;
  /** As it came, for `keepRefused`. */
  readonly key?: string | null;
  readonly headers?: PackedHeaders;
}

/** Whether sources may take events now; when not, why, and when a sender should come back. */
export type Intake =
  | { readonly open: true }
  | { readonly open: false; readonly reason: string; readonly retryAfterMs: number };

/** What a source has received, before it has its name. */
export interface Arrival {
  /**
   * As the source's scheme names them (Stripe's `id`, a Kafka record's place, …), else null: then the host takes what
   * the source's `id:`, `event_type:`, `key:` expressions yield, else a new UUIDv7, the source's type, no key.
   */
  readonly id: string | null;
  readonly type: string | null;
  readonly key: string | null;
  readonly subject: string | null;
  readonly headers: PackedHeaders;
  readonly body: Uint8Array;
  /** From `leat-hops`, else 0. */
  readonly hops: number;
  /** Where it came from, as in a refusal; asked only where that is shown. Empty where it isn't known any more. */
  address(): string;
}

/** What a source is given. */
export interface SourceHost {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The largest body an event may have, in bytes (`limits`): a source stops reading beyond it. */
  readonly maxEventBytes: number;
  /**
   * Names the arrival, which `append` else does; a promise where an expression has to be evaluated. Rejects as `append`
   * does. For sources whose arrivals have an order: one may be named later than the one behind it.
   */
  identify(arrival: Arrival): void | Promise<void>;
  /**
   * Names the arrival and appends it, at once where it has its name. Resolves only once it is on disk (J1): tell the upstream yes only then. Rejects
   * with a LeatError: `refused` (id, key or headers over a limit), `unavailable` (journal full, too much uncommitted,
   * waited too long; `retryAfterMs` is set) or `storage`. The caller must not change or reuse the bytes afterwards.
   */
  append(arrival: Arrival): Promise<Appended>;
  /** Keeps a refusal; never fails, never waits. */
  refuse(refusal: NewRefusal): void;
  /**
   * Keeps a refusal of what can't be told so (a broker's record): resolves once a `leat.refused` event with all of it is
   * on disk, so that it may be acknowledged. Rejects as `append` does.
   */
  keepRefused(refusal: NewRefusal): Promise<void>;
  /** Tells how the source stands with its broker; said at each change, for readiness, metrics, the log and `leat.source`. */
  stands(standing: Standing): void;
  /** The journal's mark: the same over restarts, and no other Leat's. For names that must be our own at a broker. */
  readonly mark: string;
  /** What the source wrote down for itself, perhaps in an earlier process; null: nothing. */
  noted(): string | null;
  /** Writes that down anew, short; on disk when it resolves. Rejects with LeatError `unavailable` or `storage`. */
  note(text: string): Promise<void>;
  /** Cheap; asked before work is done for an event. */
  intake(): Intake;
}

export interface Source {
  start(): Promise<void>;
  /** Stops taking, finishes what is being appended. Resolves when nothing of it is left running. */
  stop(): Promise<void>;
}

/** Knows how far behind its broker it is. */
export interface HasLag {
  /** Messages that wait at the broker; null while unknown. */
  lag(): number | null;
}

export function hasLag(component: object): component is HasLag {
  return "lag" in component && typeof component.lag === "function";
}

export interface SourceType<C = unknown> {
  readonly kind: "source";
  /** What `type:` says. */
  readonly type: string;
  /** One line for the reference. */
  readonly description: string;
  /** The fields beside `type`, each with `.describe(…)` and its default. */
  readonly schema: ZodType<C>;
  /** The type of connection whose fields its schema has too; absent where it takes none. */
  readonly connection?: ConnectionType;
  /** Its bodies may be as large as `limits.broker_event` says (brokers), not `limits.event` (HTTP). */
  readonly largeBodies?: boolean;
  /**
   * Whether it reads what is written to `address`, in the words of `PushedSinkType.writes`: for `leat validate`, which
   * warns of a sink that feeds a source. No I/O.
   */
  reads?(config: C, address: string): boolean;
  create(config: C, host: SourceHost): Source;
}

// ---------------------------------------------------------------------------------------------------------------- Sinks

/** One delivery as a sink gets it: the event, matched, transformed, its templates filled in. */
export interface Message {
  readonly event: Event;
  /** What to send: the event's own bytes, or what the transform made. */
  readonly body: Uint8Array;
  /** Null when unknown. `application/json` for what a transform made. */
  readonly contentType: string | null;
  /**
   * The sink's templated fields (see `PushedSinkType.templates`), rendered for this delivery: literal text, not escaped
   * but for what was put into `url`, `path` and `query`.
   */
  readonly fields: Readonly<Record<string, string>>;
  readonly route: string;
  readonly subscription: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** 0 for the original delivery, n for the nth replay. */
  readonly replay: number;
  /** What to write into `leat-hops`: the event's own hops plus one. */
  readonly hops: number;
}

/** What a receiver answered that becomes an event of the sink's own name (`reply: true`). */
export interface Reply {
  readonly contentType: string | null;
  readonly body: Uint8Array;
  /** True when the answer was longer than what may become an event (64 KiB); `body` is then cut. */
  readonly truncated: boolean;
}

/**
 * What became of one attempt. The sink says what happened; the policy (`delivery/retry.ts`) decides what that means.
 * - `delivered`: the receiver confirmed.
 * - `failed`: it did not; a retry may help.
 * - `rejected`: no retry can help (a header the protocol can't carry): dead at once.
 */
export type Report =
  | {
      readonly result: "delivered";
      readonly status?: number;
      readonly answer?: Uint8Array;
      readonly reply?: Reply;
    }
  | {
      readonly result: "failed";
      /** Lower snake case: `timeout`, `connection_refused`, `dns`, `tls`, `reset`, `status`, `closed`, … */
      readonly error: string;
      /** For people. */
      readonly message: string;
      readonly status?: number;
      readonly answer?: Uint8Array;
      /** How long the receiver asked us to wait, in milliseconds from now. */
      readonly retryAfterMs?: number;
      /** The receiver is gone for good at this address (410): pause the whole sink. */
      readonly gone?: boolean;
    }
  | { readonly result: "rejected"; readonly error: string; readonly message: string };

/** What a sink is given. */
export interface SinkHost {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a pushed sink is given. */
export interface PushedSinkHost extends SinkHost {
  /** Tells how the sink stands with its broker, for readiness and the log. */
  stands(standing: Standing): void;
  /** Bytes to keep of an answer that was a failure, or a success (`limits`); they may change at a reload. */
  readonly answerBytes: { readonly failure: number; readonly success: number };
}

/** A pushed sink owes every event a delivery. */
export interface PushedSink {
  start(): Promise<void>;
  /**
   * One attempt. Never rejects for what a receiver can cause; a rejection is a defect and counts as `failed`.
   * Must settle soon after `signal` aborts (the sink's `timeout`, or the daemon stopping): the delivery then counts as failed.
   * Called by several subscriptions at once, within the sink's `concurrency`.
   */
  deliver(message: Message, signal: AbortSignal): Promise<Report>;
  stop(): Promise<void>;
}

export interface PushedSinkType<C = unknown> {
  readonly kind: "pushed";
  readonly type: string;
  readonly description: string;
  /** The fields beside `type` and beside those every pushed sink has (retry, timeout, concurrency, rate, …). */
  readonly schema: ZodType<C>;
  /**
   * Names of fields, on the sink or in a route's `to`, that may hold templates; rendered into `Message.fields`. What a
   * `{{ }}` puts into a field named `url`, `path` or `query` is percent-encoded (`encodeURIComponent`) while it is
   * rendered: only there can a value still be told from the template around it.
   */
  readonly templates: readonly string[];
  /** As of a source. */
  readonly connection?: ConnectionType;
  /** The default of `concurrency` where batching makes many deliveries at once cheap. Absent: the policy's. */
  readonly concurrency?: number;
  /**
   * Where a target writes, as one string that begins with the family and names the broker alike in every configuration
   * of it (`kafka 127.0.0.1:9092 orders`), for a source's `reads`; null where only the event decides (a template).
   * `templates` are the sink's and the target's fields together, unrendered. No I/O.
   */
  writes?(config: C, templates: Readonly<Record<string, string>>): string | null;
  /** Whether the sink can be a source too (`reply: true`). */
  givesBack(config: C): boolean;
  create(config: C, host: PushedSinkHost): PushedSink;
}

/** One frame of a stream: what one route yields for one channel of one event. */
export interface StreamFrame {
  readonly channel: string;
  readonly type: string;
  readonly id: string;
  readonly time: number;
  readonly body: Uint8Array;
  /** The event's key, where it is live: a slow reader may get only the newest of each (`slow: latest`). The index keeps none. */
  readonly key?: string | null;
}

/** What a stream is given beyond a sink's host: its index, and the subscription's place. */
export interface StreamHost extends SinkHost {
  readonly index: StreamHistory;
  /**
   * The last seq the journal has committed (`Log.bounds().newest`). The index may be behind it; a reader's position
   * above it was never ours and gets a `gap`.
   */
  committed(): Seq;
  /**
   * Names by which readers that need no token may call us, beside localhost and addresses (`http/host.ts`); null: any,
   * since whoever reaches the listener may read.
   */
  readonly hosts: readonly string[] | null;
  /** What the stream wrote down for itself, perhaps in an earlier process; null: nothing. Absent: nothing can be. */
  readonly noted?: () => string | null;
  /** Writes that down anew, short; on disk when it resolves. Rejects with LeatError `unavailable` or `storage`. */
  readonly note?: (text: string) => Promise<void>;
  /** Of a stream that gives back (`StreamSinkType.givesBack`), the source of its name: for what its readers publish. */
  readonly source?: SourceHost;
}

/** The reading side of a stream's index, for resuming readers. */
export interface StreamHistory {
  /**
   * Frames with `after < seq`, in seq order, of the channels that `wants` says yes to; whole seqs only (never some of
   * one seq's frames). `through` is the seq up to which the answer is complete, `limit` frames being reached or not.
   */
  read(after: Seq, wants: ChannelSelection, limit: number): Promise<{ frames: IndexedFrame[]; through: Seq }>;
  /** The seqs the index can answer for: `oldest` is the lowest `after` that needs no gap, `newest` the last one indexed. */
  bounds(): Promise<{ oldest: Seq; newest: Seq }>;
  /** The highest seq at or before which everything was accepted before `time` (ms since 1970). For `history.on_connect`. */
  seqAt(time: number): Promise<Seq>;
}

export interface IndexedFrame extends StreamFrame {
  readonly seq: Seq;
}

/** Channels by exact name (indexed) and by pattern (a scan). */
export interface ChannelSelection {
  readonly exact: readonly string[];
  readonly patterns: readonly string[];
}

/** A stream owes its readers a gapless sequence from where they left off. */
export interface StreamSink extends HasEndpoint {
  start(): Promise<void>;
  /**
   * Hands the frames of one event (from all routes) to the present readers; called in seq order, after the event's
   * commit and not waiting for the index. An event that yields no frame is announced too, with an empty list, so that
   * heartbeats can carry its seq.
   */
  publish(seq: Seq, frames: readonly StreamFrame[]): void;
  /** Tells readers to come back later (`bye`), closes, resolves when none is left. */
  stop(): Promise<void>;
}

/** A stream that can be told of what its readers will miss. */
export interface HearsOfLapses {
  /**
   * What lies up to `through` and wasn't published never will be (it expired, or a person purged it): readers are told of
   * the gap. Called in seq order with `publish`; the index is told first, and has written it down soon.
   */
  lapse(through: Seq): void;
}

export function hearsOfLapses<S extends StreamSink>(sink: S): sink is S & HearsOfLapses {
  return "lapse" in sink && typeof sink.lapse === "function";
}

/** A stream that can begin where another has got to, be it one that it replaces at a reload. */
export interface TakesOver {
  /**
   * What lies up to `through` and it wasn't handed is the index's to give, or soon will be; what is published next follows
   * on it. Readers may be there already. Called once it is started, in seq order with `publish`.
   */
  takeOver(through: Seq): void;
}

export function takesOver<S extends StreamSink>(sink: S): sink is S & TakesOver {
  return "takeOver" in sink && typeof sink.takeOver === "function";
}

/** A stream that sends its readers away before it stops. */
export interface Drains {
  /**
   * Takes no reader more, and tells those that are there to come back later, spread over a while; events are still
   * published meanwhile. Resolves when all were told; `stop` cuts it short.
   */
  drain(): Promise<void>;
}

export function drains<S extends object>(sink: S): sink is S & Drains {
  return "drain" in sink && typeof sink.drain === "function";
}

/** A stream that keeps some of what it published, for readers who come back soon. */
export interface KeepsPublished {
  /**
   * The index has frames now that were never published: a route has brought its past. What is kept is no longer all there
   * is; readers who come back get it from the index.
   */
  forgetPublished(): void;
}

export function keepsPublished<S extends StreamSink>(sink: S): sink is S & KeepsPublished {
  return "forgetPublished" in sink && typeof sink.forgetPublished === "function";
}

/** What was taken from a user. */
export interface Revocation {
  readonly user: string;
  /** A channel's name; null: all that the user has. */
  readonly channel: string | null;
  /** Wall clock, ms: from when, and how long it is remembered. */
  readonly at: number;
  readonly until: number;
}

/** A stream from whose users a person may take what their credentials grant, before those end. */
export interface CanRevoke {
  /**
   * Takes a channel, or (null) all that it has, from a user: at once from those of it that are connected, and for `forMs` from
   * credentials that were issued before now. Resolves once it is written down, with the number of connections it was taken
   * from. Rejects with LeatError `refused` (too many), or as `StreamHost.note` does.
   */
  revoke(user: string, channel: string | null, forMs: number): Promise<number>;
  /** Ends a revocation; false: there was none. */
  restore(user: string, channel: string | null): Promise<boolean>;
  /** Those that are remembered, oldest first. */
  revocations(): readonly Revocation[];
}

export function canRevoke<S extends object>(sink: S): sink is S & CanRevoke {
  return "revoke" in sink && typeof sink.revoke === "function";
}

export interface StreamSinkType<C = unknown> {
  readonly kind: "stream";
  readonly type: string;
  readonly description: string;
  readonly schema: ZodType<C>;
  readonly templates: readonly string[];
  /** How long the index keeps this stream's frames, in ms. */
  historyMs(config: C): number;
  /** Whether the sink is a source too, and how long the ids of its events are remembered, in ms. Absent or null: it isn't. */
  givesBack?(config: C): { readonly dedupeMs: number | null } | null;
  create(config: C, host: StreamHost): StreamSink;
}

export type SinkType<C = unknown> = PushedSinkType<C> | StreamSinkType<C>;
