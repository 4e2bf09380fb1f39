/** A Kafka record as an event. */

import type { KafkaRecord } from "../../brokers/kafka/records.ts";
import type { Arrival } from "../../component.ts";
import { NO_HEADERS, type PackedHeaders } from "../../event.ts";
import { hopsOf, packBrokerHeaders } from "../attributes.ts";

/** The record had no value: the key is deleted, as log compaction has it. The event's body is empty. */
export const TOMBSTONE = "kafka-tombstone";
/** The record's key as it came, where the event's key is only a writing of it. */
export const RAW_KEY = "kafka-key";
/** The number of the schema that a schema registry's serializer has written before the value. */
export const SCHEMA_ID = "kafka-schema-id";

const NO_BODY = new Uint8Array(0);

/**
 * `<topic>-<partition>-<offset>-<timestamp>`: the same each time the record is fetched; another for what comes to its
 * place in a topic that was deleted and made anew.
 */
export function recordId(topic: string, partition: number, { offset, timestamp }: KafkaRecord): string {
  return `${topic}-${partition}-${offset}-${timestamp}`;
}

export function arrivalOf(topic: string, partition: number, record: KafkaRecord): Arrival {
  const { key, value, headers } = record;
  const keyText = key === null ? null : textOfKey(key);
  return {
    id: recordId(topic, partition, record),
    type: typeOf(headers),
    key: keyText,
    subject: topic,
    headers: packed(record, keyText),
    // A view on what was fetched with it: the journal copies it when it is appended, and till then all of that is wanted.
    body: value ?? NO_BODY,
    hops: headers.length === 0 ? 0 : hopsOf(headers),
    address: () => `${topic}/${partition}`,
  };
}

/** CloudEvents' Kafka binding 1.0.2. */
function typeOf(headers: KafkaRecord["headers"]): string | null {
  for (const [name, value] of headers) if (name === "ce_type" && value.length > 0) return value.toString();
  return null;
}

function packed({ value, headers, key }: KafkaRecord, keyText: string | null): PackedHeaders {
  const schema = value === null ? null : schemaId(value);
  const raw = key !== null && keyText?.startsWith(BYTES) === true;
  if (headers.length === 0 && value !== null && schema === null && !raw) return NO_HEADERS;
  const all: (readonly [string, string | Uint8Array])[] = [...headers];
  if (value === null) all.push([TOMBSTONE, "true"]);
  if (schema !== null) all.push([SCHEMA_ID, String(schema)]);
  if (raw) all.push([RAW_KEY, key]);
  return packBrokerHeaders(all);
}

/** Confluent's wire format: a zero byte, the schema's number in four bytes, then Avro, Protobuf or JSON. */
export function schemaId(value: Uint8Array): number | null {
  if (value.length < 5 || value[0] !== 0) return null;
  return new DataView(value.buffer, value.byteOffset).getUint32(1);
}

const BYTES = "base64:";
/** A control character says that the bytes are a number or a structure that only happens to be UTF-8 too. */
const NO_TEXT = /\p{Cc}/u;

/**
 * A key as text: what it says if it is UTF-8 without control characters, else `base64:` and its bytes. Different keys
 * become different texts, so their order is kept apart as Kafka keeps it.
 */
export function textOfKey(key: Buffer): string {
  const text = key.toString();
  const faithful =
    !NO_TEXT.test(text) && !text.startsWith(BYTES) && (!text.includes("\ufffd") || roundTrips(text, key));
  return faithful ? text : BYTES + key.toString("base64");
}

function roundTrips(text: string, key: Buffer): boolean {
  return Buffer.from(text).equals(key);
}
