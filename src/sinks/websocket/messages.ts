/** What the server says, as JSON text (docs/websocket.md). Pure. */
import { isUtf8 } from "node:buffer";
import type { StreamFrame } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { Dropped } from "../stream/backlog.ts";
import type { Gap } from "../stream/position.ts";

/** What a client may name its message by, to tell the answers apart. */
export type Ref = string | number;

export const PROTOCOL = "leat.v1";
export const PROTOCOL_VERSION = 1;

export interface Welcome {
  readonly user: string | null;
  /** Null: it doesn't expire. */
  readonly expiresInMs: number | null;
  readonly heartbeatMs: number;
}

export const welcome = ({ user, expiresInMs, heartbeatMs }: Welcome, ref?: Ref): string =>
  JSON.stringify({
    type: "welcome",
    version: PROTOCOL_VERSION,
    user,
    expires_in_ms: expiresInMs,
    heartbeat_ms: heartbeatMs,
    ref,
  });

export const subscribed = (channel: string, seq: Seq, ref?: Ref): string =>
  JSON.stringify({ type: "subscribed", channel, seq, ref });

/** `code`: why, where the client didn't ask for it. */
export const unsubscribed = (channel: string, ref?: Ref, code?: string): string =>
  JSON.stringify({ type: "unsubscribed", channel, ref, code });

export const position = (seq: Seq): string => `{"type":"position","seq":${seq}}`;

/** `channel` absent: of all that the connection has subscribed to. */
export const gap = (missed: Gap, channel?: string): string =>
  JSON.stringify({ type: "gap", channel, ...missed });

export const dropped = ({ channel, count, through }: Dropped): string =>
  JSON.stringify({ type: "dropped", channel, count, through });

export interface Ack {
  readonly ref: Ref;
  readonly seq: Seq;
  readonly id: string;
  readonly duplicate: boolean;
  /** A duplicate with other data than the first one's, which is the one that counts. */
  readonly differs: boolean;
}

export const ack = ({ ref, seq, id, duplicate, differs }: Ack): string =>
  JSON.stringify({ type: "ack", ref, seq, id, duplicate, ...(differs && { differs }) });

/** Of a message that isn't kept: it was handed to those who are there. */
export const ephemeralAck = (ref: Ref): string => JSON.stringify({ type: "ack", ref, ephemeral: true });

export interface Failure {
  /** Lower snake case; docs/errors.md lists them. */
  readonly code: string;
  readonly message: string;
  readonly ref?: Ref | undefined;
  readonly channel?: string | undefined;
  readonly retry_ms?: number | undefined;
}

export const error = (failure: Failure): string => JSON.stringify({ type: "error", ...failure });

export const pong = (ref?: Ref): string => JSON.stringify({ type: "pong", ref });

export interface Member {
  /** Null: those of whom nobody said who they are. */
  readonly user: string | null;
  readonly connections: number;
}

/** `more`: how many members there are beside those listed. */
export const presence = (channel: string, members: readonly Member[], more: number, ref?: Ref): string =>
  JSON.stringify({ type: "presence", channel, ref, members, ...(more > 0 && { more }) });

export const joined = (channel: string, user: string | null): string =>
  JSON.stringify({ type: "join", channel, user });

export const left = (channel: string, user: string | null): string =>
  JSON.stringify({ type: "leave", channel, user });

export type ByeReason = "restart" | "load" | "drain" | "slow" | "expired";

export const bye = (reason: ByeReason, retryMs: number): string =>
  JSON.stringify({ type: "bye", reason, retry_ms: retryMs });

/** Something that a client published to an ephemeral channel. `data` is JSON as it was written. */
export const ephemeral = (channel: string, data: string, user: string | null, event?: string): string => {
  const head = JSON.stringify({ type: "event", channel, ephemeral: true, user, event });
  return `${head.slice(0, -1)},"data":${data}}`;
};

/**
 * An event. A body that is JSON stands there as it was written, so that its numbers keep their digits.
 *
 * @param more another event of this seq follows: only with the last one is everything up to `seq` there
 */
export function event(seq: Seq, frame: StreamFrame, envelope: boolean, more: boolean): string {
  const { channel, id, type, time, body } = frame;
  const known = envelope ? { id, event: type, time: new Date(time).toISOString() } : {};
  const head = JSON.stringify({ type: "event", channel, seq, ...known, ...(more && { more }) });
  return `${head.slice(0, -1)},${dataMember(body)}}`;
}

function dataMember(body: Uint8Array): string {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!isUtf8(buffer)) return `"data_base64":${JSON.stringify(buffer.toString("base64"))}`;
  const text = buffer.toString();
  return `"data":${isJson(text) ? text : JSON.stringify(text)}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
