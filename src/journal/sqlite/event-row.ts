/** A row of `event` (or `kept`), its checksum, and what stands for one that is damaged. */
import { crc32 } from "node:zlib";
import type { Event, Seq } from "../../event.ts";
import { NO_HEADERS } from "../../event.ts";
import type { Row } from "./storage.ts";

/** For SELECT: the columns `toEvent` needs, `source` being joined in by the caller's interned names. */
export const EVENT_COLUMNS =
  "seq, source, id, type, subject, key, time, hops, cause, total, crc, headers, body";

/**
 * The type of the placeholder that `Log.read` gives for a row whose checksum is wrong: it has the row's seq, no body, and
 * must not be delivered. Its deliveries are dead (`damaged_row`), so that a person sees them.
 */
export const DAMAGED_TYPE = "leat.damaged";

/**
 * CRC-32 over all of a row's content, so that a flipped bit is found before it is delivered. `bodyCrc` is the body's own.
 */
export function rowCrc(
  seq: Seq,
  source: number,
  id: string,
  type: string,
  subject: string | null,
  key: string | null,
  time: number,
  hops: number,
  cause: Seq | null,
  total: number,
  headers: Uint8Array,
  bodyCrc: number,
): number {
  const text = `${seq} ${source} ${time} ${hops} ${cause ?? ""} ${total}\0${id}\0${type}\0${subject ?? "\u0001"}\0${key ?? "\u0001"}`;
  return crc32(text, headers.byteLength === 0 ? bodyCrc : crc32(headers, bodyCrc));
}

/** The event of a row, or null when its checksum is wrong. */
export function toEvent(row: Row, sourceName: (id: number) => string | undefined): Event | null {
  const { seq, source, id, type, subject, key, time, hops, cause, total, crc, headers, body } = row;
  if (typeof seq !== "number" || typeof source !== "number" || typeof id !== "string") return null;
  if (typeof type !== "string" || typeof time !== "number" || typeof hops !== "number") return null;
  if (!(headers instanceof Uint8Array) || !(body instanceof Uint8Array)) return null;
  const event: Event = {
    seq,
    source: sourceName(source) ?? "",
    id,
    type,
    subject: typeof subject === "string" ? subject : null,
    key: typeof key === "string" ? key : null,
    time,
    headers,
    body,
    hops,
    cause: typeof cause === "number" ? cause : null,
  };
  const { subject: s, key: k, cause: c } = event;
  const expected = rowCrc(seq, source, id, type, s, k, time, hops, c, Number(total), headers, crc32(body));
  return expected === crc && event.source !== "" ? event : null;
}

/** What stands for a damaged row where a gap would stop everything behind it. */
export function damagedEvent(row: Row, sourceName: (id: number) => string | undefined): Event {
  const seq = Number(row.seq);
  return {
    seq,
    source: sourceName(Number(row.source)) ?? "",
    id: `damaged/${seq}`,
    type: DAMAGED_TYPE,
    subject: null,
    key: null,
    time: Number(row.time),
    headers: NO_HEADERS,
    body: new Uint8Array(0),
    hops: 0,
    cause: null,
  };
}
