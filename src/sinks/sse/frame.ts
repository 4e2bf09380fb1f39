/**
 * Writing an event stream (WHATWG HTML, section 9.2.5). Pure. What an event holds can never end its field: data is
 * split where a reader would see a line's end, and a name that could be more than a name is left out.
 */
import type { StreamFrame } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";
import type { Dropped } from "../stream/backlog.ts";
import { bodyText, envelopeJson } from "../stream/envelope.ts";
import type { Gap } from "../stream/position.ts";

export interface SseFields {
  /** Undefined: none; the reader's last id stays as it is. */
  readonly id?: string | undefined;
  /** Undefined: none; the reader sees a `message`. */
  readonly event?: string | undefined;
  readonly data: string;
}

/** Ends of lines to a reader, and NUL, with which an id is ignored. */
const FORBIDDEN = /[\r\n\0]/;

/** One event. LeatError `refused`, `sse_forbidden_character`: an id or a name with CR, LF or NUL. */
export function encodeEvent({ id, event, data }: SseFields): string {
  for (const field of [id, event]) {
    if (field !== undefined && FORBIDDEN.test(field)) {
      throw new LeatError("refused", "sse_forbidden_character", "an event's id or name has CR, LF or NUL");
    }
  }
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return `${event === undefined ? "" : `event: ${event}\n`}${lines.join("")}${id === undefined ? "" : `id: ${id}\n`}\n`;
}

/** Ours (`gap`, `bye`), and those with which an EventSource tells of its connection: no event may pass for one. */
const RESERVED = new Set(["gap", "bye", "dropped", "heartbeat", "revoked", "open", "error"]);

/** The name under which an event of this type is sent; undefined where it can't be one: then it is a `message`. */
export function eventName(type: string): string | undefined {
  return type === "" || FORBIDDEN.test(type) || RESERVED.has(type) ? undefined : type;
}

export interface SseFormat {
  /** The event's type goes into `event:`. */
  readonly event: boolean;
  /** The body is wrapped (`envelopeJson`). */
  readonly envelope: boolean;
}

/** The frames of one seq, in one piece; only the last carries the id, so that no reader resumes in their middle. */
export function encodeGroup(format: SseFormat, seq: Seq, frames: readonly StreamFrame[]): Buffer {
  const events = frames.map((frame, at) =>
    encodeEvent({
      id: at === frames.length - 1 ? String(seq) : undefined,
      event: format.event ? eventName(frame.type) : undefined,
      data: format.envelope ? envelopeJson(seq, frame) : bodyText(frame.body),
    }),
  );
  return Buffer.from(events.join(""));
}

/** The first bytes: they carry the headers out, spread the readers' return, and give the position to resume from. */
export function encodeHello(position: Seq, retryMs: number): Buffer {
  return Buffer.from(`: leat\nretry: ${Math.round(retryMs)}\n${idLine(position)}\n`);
}

/** A comment, which keeps the connection open, and an id without data, which moves the reader's position unseen. */
export function encodeHeartbeat(position: Seq): Buffer {
  return Buffer.from(`:\n${idLine(position)}\n`);
}

/** A heartbeat that a page's script sees, which it doesn't of comments: what it needs to find a connection half open. */
export function encodeHeartbeatEvent(position: Seq): Buffer {
  return Buffer.from(`event: heartbeat\ndata: ${JSON.stringify({ seq: position })}\n${idLine(position)}\n`);
}

/** What a slow reader missed; its position is told by what comes next. */
export function encodeDropped(dropped: readonly Dropped[]): Buffer {
  return Buffer.from(dropped.map((each) => `event: dropped\ndata: ${JSON.stringify(each)}\n\n`).join(""));
}

/** What a reader asked for isn't there any more; it goes on from `position`. */
export function encodeGap(gap: Gap, position: Seq): Buffer {
  return Buffer.from(`event: gap\ndata: ${JSON.stringify(gap)}\n${idLine(position)}\n`);
}

/** Channels that the reader may not read any more; the others go on. */
export function encodeRevoked(channels: readonly string[]): Buffer {
  return Buffer.from(`event: revoked\ndata: ${JSON.stringify({ channels })}\n\n`);
}

/** Why a reader is to go, and come back: `slow` has taken too long, `expired` may come with another token, `revoked` is judged anew. */
export type Leave = "load" | "restart" | "drain" | "slow" | "expired" | "revoked";

/**
 * Come back later: the stream ends after it. Never a status but 200, with which an EventSource gives up for good.
 * A position is given to one that is turned away before it had any, so that it misses nothing until it is back.
 */
export function encodeBye(reason: Leave, retryMs: number, position: Seq = 0): Buffer {
  const retry = `retry: ${Math.round(retryMs)}\n`;
  return Buffer.from(`${retry}event: bye\ndata: ${JSON.stringify({ reason })}\n${idLine(position)}\n`);
}

/** Position 0 is none. */
function idLine(position: Seq): string {
  return position > 0 ? `id: ${position}\n` : "";
}
