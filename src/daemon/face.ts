/**
 * What the admin listener, the page and the command line see of a running daemon: its public face. Plain questions and
 * a few orders; everything else they read from the journal.
 */
import type { Revocation } from "../component.ts";
import type { Journal, SinkState } from "../journal/journal.ts";
import type { Settings } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import type { StreamMetrics } from "../sinks/stream/metrics.ts";

export type Phase = "starting" | "running" | "draining" | "stopped";

export interface Readiness {
  /** False only while starting, draining, or while sources have to wait: then nothing should be sent here. */
  readonly ready: boolean;
  readonly phase: Phase;
  /** Why it isn't ready. */
  readonly reasons: readonly string[];
  /** Parts that don't work as they should while the rest does; restarting would heal none of them. */
  readonly degraded: readonly { readonly part: string; readonly reason: string }[];
}

export interface SinkStatus {
  readonly name: string;
  readonly type: string;
  readonly kind: "pushed" | "stream";
  readonly state: SinkState;
  /** Null for one that has no broker. */
  readonly standing: StandingStatus | null;
  /** Deliveries under way; null for a stream. */
  readonly inFlight: number | null;
  /** Its breaker's wait is over: the next delivery, or the one under way, shows whether it closes. */
  readonly probing: boolean;
  /** Connected clients of a stream; null where there can be none. */
  readonly readers: number | null;
  /** Members of a stream's channels with presence, one on two of them counted twice; null for another sink. */
  readonly members: number | null;
  /** What a stream has counted since it was made; null for another sink. */
  readonly tally: StreamTally | null;
}

export type StreamTally = Omit<StreamMetrics, "readers" | "members">;

/** How a source or sink stands with its broker. */
export interface StandingStatus {
  readonly state: "connected" | "waiting";
  /** A word, and what people should know and do; null while it is connected. */
  readonly error: string | null;
  readonly message: string | null;
  /** When that began: wall clock, ms. */
  readonly since: number;
  /** False while it never was, since it was made at `madeAt` (monotonic, ms). */
  readonly everConnected: boolean;
  readonly madeAt: number;
  /** How often it came back after it was lost. */
  readonly reconnects: number;
}

export interface SourceStatus {
  readonly name: string;
  readonly type: string;
  /** Null for one that has no broker. */
  readonly standing: StandingStatus | null;
  /** Messages that wait at its broker; null where that isn't known. */
  readonly lag: number | null;
  /** When an event of it was last taken, duplicates among them: wall clock, ms; null: not since it was made. */
  readonly lastAt: number | null;
}

export type ReloadResult =
  | {
      readonly ok: true;
      /** Names of what is new, changed and gone, such as `sink billing`. */
      readonly added: readonly string[];
      readonly changed: readonly string[];
      readonly removed: readonly string[];
      /** Subscriptions without a route that still owe events, and settings that only a restart can change. */
      readonly notes: readonly string[];
      readonly warnings: readonly string[];
    }
  | {
      readonly ok: false;
      /** As people read them: `file:line:column: what is wrong; what to do`. */
      readonly problems: readonly string[];
    };

export interface DaemonFace {
  readonly version: string;
  readonly server: Settings["server"];
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readiness(): Readiness;
  sources(): readonly SourceStatus[];
  sinks(): readonly SinkStatus[];
  /** Open connections of the public listener. */
  connections(): Promise<number>;
  /** Starts no delivery to a sink until it is resumed. LeatError `unknown_sink`. */
  pause(sink: string, reason: string): void;
  /** Ends a pause, a hold and an open breaker, so that deliveries are tried at once. LeatError `unknown_sink`. */
  resume(sink: string): void;
  /**
   * As `CanRevoke` has them, of the stream `sink`. LeatError `unknown_stream`, or as there.
   */
  revoke(sink: string, user: string, channel: string | null, forMs: number): Promise<number>;
  restore(sink: string, user: string, channel: string | null): Promise<boolean>;
  revocations(sink: string): readonly Revocation[];
  /** Reads the files anew and takes over what they say; whatever is wrong in them changes nothing. Never rejects. */
  reload(): Promise<ReloadResult>;
}
