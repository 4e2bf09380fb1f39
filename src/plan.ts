/**
 * The plan: what the configuration means once it is read, checked and its defaults filled in. Plain data, made by
 * `config/` and handed to everything else; sources and sinks get the part that their own schema describes.
 */

/** How to look at a body in expressions. The stored bytes are never touched. */
export type Decode = "auto" | "json" | "text" | "bytes";

export interface SourcePlan {
  readonly name: string;
  readonly type: string;
  /** What the source type's schema made of the fields. */
  readonly config: unknown;
  readonly decode: Decode;
  /** How long a (source, id) is remembered, in ms; null is `dedupe: off`. */
  readonly dedupeMs: number | null;
  /** JSONata on the decoded event: where the scheme names no id, type or key (`id:`, `event_type:`, `key:`). */
  readonly id: string | null;
  readonly eventType: string | null;
  readonly key: string | null;
}

/** Where an event's key decides the default, both are here. */
export interface ByKey<T> {
  readonly keyed: T;
  readonly unkeyed: T;
}

/** Waits between attempts: `initial * factor^n` up to `maxWait`, each spread by `±jitter`; or a fixed `schedule`. */
export interface RetryPolicy {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxWaitMs: number;
  /** From the first attempt on; past it the delivery is dead. */
  readonly maxAgeMs: ByKey<number>;
  /** 0 to 1: a wait w becomes w * (1 ± jitter). */
  readonly jitter: number;
  readonly maxAttempts: number | null;
  /** Waits after the 1st, 2nd, … attempt; after the last one it is dead. */
  readonly scheduleMs: readonly number[] | null;
  /** Statuses that are dead at once. */
  readonly deadOn: ByKey<readonly number[]>;
}

export interface BreakerPolicy {
  /** Opens after so many network errors, time-outs, 429 or 5xx in a row. */
  readonly failures: number;
  /** The first probe comes after this; doubles up to `maxMs`. */
  readonly probeMs: number;
  readonly maxMs: number;
}

/** A bound on what one sink's subscriptions may keep from retention (J6). */
export interface BacklogPolicy {
  readonly ageMs: number;
  /** Bytes, or a share of `retention.size`. */
  readonly size: { readonly bytes: number } | { readonly share: number };
}

export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

/** What every pushed sink has beside its own fields; `to` in a route may override `retry` and `start`. */
export interface SinkPolicy {
  readonly retry: RetryPolicy;
  readonly breaker: BreakerPolicy;
  readonly backlog: BacklogPolicy;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly rate: Rate | null;
  readonly order: "key" | "none";
  readonly onDead: "skip" | "hold";
}

export interface SinkPlan {
  readonly name: string;
  readonly type: string;
  readonly kind: "pushed" | "stream";
  readonly config: unknown;
  /** Null for a stream. */
  readonly policy: SinkPolicy | null;
  /** Template fields that stand on the sink (`channel`, `path`, `query`, …), unrendered. */
  readonly templates: Readonly<Record<string, string>>;
  /** The sink is a source of its own name too. */
  readonly givesBack: boolean;
}

/** JSONata in a string, or a map whose strings are templates. */
export type Transform =
  | { readonly kind: "jsonata"; readonly expression: string }
  | { readonly kind: "map"; readonly map: unknown };

/** Where a new subscription begins: at the present, at the oldest event kept, or at a time (ms since 1970). */
export type Start = "now" | "beginning" | number;

export interface TargetPlan {
  readonly sink: string;
  /** `route/sink` or `route/as`; for a stream the sink's name. */
  readonly subscription: string;
  /** The former name of the subscription whose place it takes over. */
  readonly was: string | null;
  readonly start: Start;
  readonly transform: Transform | null;
  /** Sink's and target's template fields together, the target's winning. */
  readonly templates: Readonly<Record<string, string>>;
  /** The sink's policy with the target's `retry` over it; null for a stream. */
  readonly policy: SinkPolicy | null;
}

export interface RoutePlan {
  readonly name: string;
  readonly from: readonly string[];
  /** As written: path → literal, glob, list or operators; checked by `compileMatch`. */
  readonly match: Readonly<Record<string, unknown>> | null;
  readonly where: string | null;
  readonly to: readonly TargetPlan[];
}

export interface RetentionPlan {
  readonly ageMs: number;
  readonly bytes: number;
  readonly dead: { readonly ageMs: number; readonly bytes: number };
}

/** Bounds on what comes in; all settable under `limits`. */
export interface Limits {
  readonly eventBytes: number;
  /** The same of an event that a broker brings. */
  readonly brokerEventBytes: number;
  readonly headers: number;
  readonly headerBytes: number;
  readonly idBytes: number;
  readonly keyBytes: number;
  readonly channelBytes: number;
  /** Bytes waiting for a commit before sources are told to wait. */
  readonly uncommittedBytes: number;
  readonly commitWaitMs: number;
  /** Kept of an answer: of a failure, of a success. */
  readonly answerFailureBytes: number;
  readonly answerSuccessBytes: number;
  /** Ids remembered over all sources. */
  readonly dedupeIds: number;
}

/** Bounds on what clients may take of a listener (`server.http`). */
export interface HttpLimits {
  /** For a whole request to arrive; an answer may take as long as it likes (streams). */
  readonly requestTimeoutMs: number;
  /** For its headers alone; not above the former. */
  readonly headersTimeoutMs: number;
  /** For the next request on a connection. */
  readonly keepAliveMs: number;
  /** Of the request line and all headers together. */
  readonly maxHeaderBytes: number;
  /** Then the connection is closed after the answer; bounds what one client can pipeline. 0: no bound. */
  readonly maxRequestsPerConnection: number;
  /** At a time, on the public listener; null: no bound but the system's. */
  readonly maxConnections: number | null;
}

/** The part of the configuration that a reload can change. */
export interface Plan {
  readonly sources: readonly SourcePlan[];
  readonly sinks: readonly SinkPlan[];
  readonly routes: readonly RoutePlan[];
  readonly retention: RetentionPlan;
}

/** The daemon's own settings (convict: file, `LEAT_*`, arguments). Only `log.level` and `limits` follow a reload. */
export interface Settings {
  readonly server: {
    /** `host:port`. */
    readonly listen: string;
    readonly admin: string;
    readonly adminToken: string | null;
    readonly adminHosts: readonly string[];
    /** Names by which the public listener may be called where it matters; see `http/host.ts`. */
    readonly hosts: readonly string[];
    readonly http: HttpLimits;
  };
  /** `path` is absolute (relative ones count from the configuration file's folder). */
  readonly journal: {
    readonly type: "sqlite";
    readonly path: string;
    readonly watermark: { readonly share: number; readonly bytes: number };
  };
  readonly log: {
    readonly level: "error" | "warn" | "info" | "debug" | "trace";
    readonly format: "auto" | "json" | "pretty";
  };
  readonly shutdown: { readonly delayMs: number; readonly timeoutMs: number };
  readonly limits: Limits;
}
