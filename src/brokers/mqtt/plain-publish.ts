/** The plain PUBLISH packet: QoS 0 or 1, and no properties (MQTT 5 and 3.1.1: 2.1 and 3.3). */
import type { IPublishPacket } from "mqtt";

const PUBLISH = 3;
const [RETAIN, QOS_1, QOS_2, DUP] = [0x01, 0x02, 0x04, 0x08];

/** Of the first byte and the length behind it. */
const MOST_HEAD_BYTES = 5;

/**
 * Bytes of the packet that begins at `at`, its head included. Null: more has to come before that is known. Infinity: it
 * can't be known, what is there is no packet.
 */
export function packetBytes(bytes: Buffer, at: number): number | null {
  let length = 0;
  for (let n = 1; n < MOST_HEAD_BYTES; n++) {
    const byte = bytes[at + n];
    if (byte === undefined) return null;
    length += (byte & 0x7f) * 128 ** (n - 1);
    if (byte < 0x80) return 1 + n + length;
  }
  return Number.POSITIVE_INFINITY;
}

/** By its first byte: whether it may be one. */
export function mayBePlain(first: number): boolean {
  return first >> 4 === PUBLISH && (first & QOS_2) === 0;
}

export class PlainPublishParser {
  readonly #version: 5 | "3.1.1";
  /** The last one's: mostly the next one's too. */
  #topic = "";
  #topicBytes: Buffer = Buffer.alloc(0);

  constructor(version: 5 | "3.1.1") {
    this.#version = version;
  }

  /** Of one whole packet. The payload is a view on `bytes`. Null: it isn't plain, or is broken. */
  parse(bytes: Buffer, start: number, end: number): IPublishPacket | null {
    const first = bytes[start] as number;
    if (!mayBePlain(first)) return null;
    let at = start + 1;
    while ((bytes[at++] as number) >= 0x80);
    if (at + 2 > end) return null;
    const topicAt = at + 2;
    at = topicAt + bytes.readUInt16BE(at);
    // Without a topic it has an alias for one.
    if (at === topicAt || at > end) return null;
    const topic = this.#topicOf(bytes, topicAt, at);
    const qos = (first & QOS_1) === 0 ? 0 : 1;
    let messageId: number | undefined;
    if (qos === 1) {
      if (at + 2 > end) return null;
      messageId = bytes.readUInt16BE(at);
      at += 2;
    }
    if (this.#version === 5 && (at === end || bytes[at++] !== 0)) return null;
    return {
      cmd: "publish",
      topic,
      qos,
      dup: (first & DUP) !== 0,
      retain: (first & RETAIN) !== 0,
      payload: bytes.subarray(at, end),
      ...(messageId !== undefined && { messageId }),
    };
  }

  #topicOf(bytes: Buffer, start: number, end: number): string {
    const last = this.#topicBytes;
    if (last.length !== end - start || bytes.compare(last, 0, last.length, start, end) !== 0) {
      this.#topic = bytes.toString("utf8", start, end);
      this.#topicBytes = Buffer.from(bytes.subarray(start, end));
    }
    return this.#topic;
  }
}
