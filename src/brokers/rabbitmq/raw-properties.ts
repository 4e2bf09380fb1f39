/**
 * A message's properties as they came, beside what amqplib makes of them.
 *
 * amqplib ends the connection for a header that it can't read (an unsigned 64-bit number, tables within tables a thousand
 * deep), and the message comes again at the next; it puts U+FFFD where text isn't UTF-8, and rounds large numbers. A broker
 * lets all of these through. So the frame's bytes are kept, and a frame that it can't read becomes one without properties.
 *
 * This leans on its `Connection.recvFrame` and `Connection.rest`, which are private: the version is pinned, and
 * test/brokers/rabbitmq/raw-properties.e2e.ts holds it to them.
 */
import type { ChannelModel, MessageProperties } from "amqplib";
import { type FieldTable, readFieldTable, textOrBytes } from "./field-table.ts";

const RAW = Symbol("raw properties");
const UNDECODED = Symbol("amqplib could not read them");

interface RawFields {
  [RAW]?: Buffer;
  [UNDECODED]?: true;
}

interface Frame {
  readonly id?: number;
  readonly channel: number;
  readonly size?: number;
  readonly fields?: RawFields;
}

interface Connection {
  /** Received and not parsed yet; begins with a frame. */
  readonly rest: Buffer;
  recvFrame(): Frame | false;
}

/** Frame: type (2 is a content header), channel, length; content header: class (60 is basic), weight, body size. */
const HEADER_FRAME = 2;
const FRAME_HEAD = 7;
const BASIC = 60;
const CONTENT_HEAD = 12;

export function keepRawProperties({ connection }: ChannelModel): void {
  const lower = connection as unknown as Connection;
  const recvFrame = lower.recvFrame;
  lower.recvFrame = () => {
    const before = lower.rest;
    try {
      const frame = recvFrame.call(lower);
      // Where it had to read on first, it has called us again, and that is done.
      if (frame !== false && frame.id === BASIC && frame.fields !== undefined)
        frame.fields[RAW] ??= rawOf(before);
      return frame;
    } catch (error) {
      // Unless the frame was taken it isn't one.
      if (lower.rest === before || before[0] !== HEADER_FRAME) throw error;
      const size = Number(before.readBigUInt64BE(FRAME_HEAD + 4));
      const fields = { [RAW]: rawOf(before), [UNDECODED]: true } as const;
      return { id: BASIC, channel: before.readUInt16BE(1), size, fields };
    }
  };
}

/** What follows the body's size in the frame that `bytes` begin with. */
function rawOf(bytes: Buffer): Buffer {
  return bytes.subarray(FRAME_HEAD + CONTENT_HEAD, FRAME_HEAD + bytes.readUInt32BE(3));
}

/** Of a content header, in the order in which they stand there, each present where its flag is set. */
const PROPERTIES = [
  ["contentType", 0x8000, "text"],
  ["contentEncoding", 0x4000, "text"],
  ["headers", 0x2000, "table"],
  ["deliveryMode", 0x1000, "octet"],
  ["priority", 0x0800, "octet"],
  ["correlationId", 0x0400, "text"],
  ["replyTo", 0x0200, "text"],
  ["expiration", 0x0100, "text"],
  ["messageId", 0x0080, "text"],
  ["timestamp", 0x0040, "time"],
  ["type", 0x0020, "text"],
  ["userId", 0x0010, "text"],
  ["appId", 0x0008, "text"],
] as const;

export type PropertyName = Exclude<(typeof PROPERTIES)[number][0], "headers">;

export interface ExactProperties {
  /** Those that are there; bytes where one isn't UTF-8. */
  readonly properties: Readonly<Partial<Record<PropertyName, string | number | Uint8Array>>>;
  readonly headers: FieldTable["fields"];
  /** What can't be read of the headers; empty where all could. */
  readonly unread: Uint8Array;
}

/** Null where what amqplib made of them is exact, as nearly always; or where it doesn't come from a broker. */
export function exactProperties(properties: MessageProperties): ExactProperties | null {
  const { [RAW]: raw } = properties as RawFields;
  return raw === undefined ||
    !(UNDECODED in properties || PROPERTIES.some(([name]) => inexact(properties[name])))
    ? null
    : readProperties(raw);
}

function inexact(value: unknown): boolean {
  if (typeof value === "string") return value.includes("\ufffd");
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return Object.values(value).some(
    // Tables within tables are rare, and looking through them takes as long as reading them.
    (inner) =>
      inexact(inner) || (typeof inner === "object" && inner !== null && !(inner instanceof Uint8Array)),
  );
}

function readProperties(raw: Buffer): ExactProperties {
  const properties: Partial<Record<PropertyName, string | number | Uint8Array>> = {};
  let table: FieldTable = { fields: [], rest: new Uint8Array(0) };
  const present = raw.readUInt16BE(0);
  let at = 2;
  for (const [name, flag, kind] of PROPERTIES) {
    if ((present & flag) === 0) continue;
    if (name === "headers") {
      const end = at + 4 + raw.readUInt32BE(at);
      table = readFieldTable(raw.subarray(at + 4, end));
      at = end;
    } else if (kind === "text") {
      const end = at + 1 + raw.readUInt8(at);
      properties[name] = textOrBytes(raw.subarray(at + 1, end));
      at = end;
    } else {
      properties[name] = kind === "time" ? Number(raw.readBigUInt64BE(at)) : raw.readUInt8(at);
      at += kind === "time" ? 8 : 1;
    }
  }
  return { properties, headers: table.fields, unread: table.rest };
}
