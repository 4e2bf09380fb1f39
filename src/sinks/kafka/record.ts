/** What a delivery is as a record of Kafka. */
import type { OutgoingRecord } from "../../brokers/kafka/port.ts";
import type { Message } from "../../component.ts";
import { type Header, unpackHeaders } from "../../event.ts";
import { cloudEventAttributes, leatHeaders } from "../attributes.ts";
import type { KafkaSinkConfig } from "./config.ts";

/** Written by the kafka source: of a key that is no text, and of a record without a value. */
const RAW_KEY = "kafka-key";
const TOMBSTONE = "kafka-tombstone";
/** How the source writes a key that is no text. */
const BYTES = "base64:";

type RecordHeader = readonly [name: string, value: string | Buffer];

export class RecordOf {
  readonly #config: KafkaSinkConfig;
  readonly #fixed: readonly RecordHeader[];
  readonly #forward: ReadonlySet<string>;

  constructor(config: KafkaSinkConfig) {
    this.#config = config;
    this.#fixed = Object.entries(config.headers);
    this.#forward = new Set(config.forward_headers.map((name) => name.toLowerCase()));
  }

  of(message: Message): OutgoingRecord {
    const { event, fields } = message;
    const own = event.headers.byteLength === 0 ? [] : unpackHeaders(event.headers);
    const tombstone = message.body.byteLength === 0 && own.some(([name]) => name === TOMBSTONE);
    return {
      topic: fields.topic ?? this.#config.topic,
      key: fields.key === undefined ? keyOf(event.key, own) : Buffer.from(fields.key),
      value: tombstone ? null : asBuffer(message.body),
      headers: this.#headers(message, own),
    };
  }

  #headers(message: Message, own: readonly Header[]): RecordHeader[] {
    const headers: RecordHeader[] = [...leatHeaders(message)];
    if (message.contentType !== null) headers.push(["content-type", message.contentType]);
    if (this.#config.cloudevents) {
      for (const [name, value] of cloudEventAttributes(message)) headers.push([`ce_${name}`, value]);
    }
    headers.push(...this.#fixed);
    if (this.#forward.size === 0) return headers;
    const written = new Set(headers.map(([name]) => name.toLowerCase()));
    for (const [name, value] of own) {
      const lower = name.toLowerCase();
      if (this.#forward.has(lower) && !written.has(lower)) headers.push([name, asBuffer(value)]);
    }
    return headers;
  }
}

/** A key that came from Kafka goes there as it came, so that both sides choose partitions alike. */
function keyOf(key: string | null, own: readonly Header[]): Buffer | null {
  if (key === null) return null;
  if (key.startsWith(BYTES)) {
    const raw = own.findLast(([name]) => name === RAW_KEY);
    if (raw !== undefined) return asBuffer(raw[1]);
  }
  return Buffer.from(key);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
