/** What the parts of a connection share, and what all connections of a sink do. */
import type { Rate } from "../../plan.ts";
import type { Clock, Logger } from "../../ports.ts";
import type { Admission } from "../stream/access/admission.ts";
import type { CloseReason } from "./close.ts";
import type { Crowd, Guest } from "./crowd.ts";
import type { ByeReason, Failure } from "./messages.ts";
import type { Publisher } from "./publisher.ts";

/** What all connections of a sink share. */
export interface Common {
  readonly clock: Clock;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly crowd: Crowd;
  readonly heartbeatMs: number;
  readonly messageRate: Rate;
  readonly publishRate: Rate;
  readonly maxMessageBytes: number;
  readonly maxChannels: number;
  readonly channelBytes: number;
  /** When one who is sent away comes back: at random, at least `leastMs`. */
  retryMs(leastMs?: number): number;
  /** A frame that tells a position: the same for all who are told it now. */
  positionFrame(seq: number): Buffer;
  /** A message came that was none, or that the client may not send. */
  onRefused(): void;
}

/** One connection, as its parts see it. */
export interface Line extends Guest {
  readonly common: Common;
  /** Nothing more is taken from it or told to it. */
  readonly closing: boolean;
  /** Null: it isn't let in. */
  readonly admission: Admission | null;
  /** In order with its events. */
  tell(text: string): void;
  /** Tells that something isn't done, and counts it. */
  refuse(failure: Failure): void;
  /** Says goodbye where there is something to say about coming back, and closes. */
  close(reason: CloseReason, bye?: ByeReason | null, leastMs?: number): void;
  /** A defect of ours: one connection is lost, nothing else. */
  failed(error: unknown): void;
}
