/** What a message of RabbitMQ is as an arrival. */
import type { ConsumeMessage } from "amqplib";
import {
  type ExactProperties,
  exactProperties,
  type PropertyName,
} from "../../brokers/rabbitmq/raw-properties.ts";
import type { Arrival } from "../../component.ts";
import { hopsOf, packBrokerHeaders } from "../attributes.ts";

type Header = readonly [name: string, value: string | Uint8Array];

/**
 * Properties that become headers of these names; a header of the message's own by such a name doesn't count. The content
 * type stands where expressions look for it.
 */
const PROPERTIES: readonly (readonly [property: PropertyName, header: string])[] = [
  ["contentType", "content-type"],
  ["contentEncoding", "content-encoding"],
  ["messageId", "amqp-message-id"],
  ["correlationId", "amqp-correlation-id"],
  ["replyTo", "amqp-reply-to"],
  ["type", "amqp-type"],
  ["timestamp", "amqp-timestamp"],
  ["expiration", "amqp-expiration"],
  ["priority", "amqp-priority"],
  ["userId", "amqp-user-id"],
  ["appId", "amqp-app-id"],
];
/** What can't be read of the headers, as it came. */
const UNREAD = "amqp-unread-headers";
const OURS = new Set([
  "amqp-exchange",
  "amqp-redelivered",
  UNREAD,
  ...PROPERTIES.map(([, header]) => header),
]);

/** The part of a message that becomes names and headers. */
type Named = Pick<ExactProperties, "properties"> & {
  readonly headers: readonly (readonly [name: string, value: unknown])[];
  readonly unread: Uint8Array | null;
};

/** Never throws. `queue` is where it came from. */
export function toArrival(message: ConsumeMessage, queue: string): Arrival {
  const { fields, content } = message;
  const named = namedOf(message);
  const headers = headersOf(named, message);
  const type = (name: string) => textual(named.headers.findLast(([own]) => own === name)?.[1]);
  return {
    id: textual(named.properties.messageId),
    type: type("cloudEvents:type") ?? type("cloudEvents_type") ?? textual(named.properties.type),
    key: null,
    subject: textual(fields.routingKey),
    headers: packBrokerHeaders(headers),
    body: content,
    hops: hopsOf(headers),
    address: () => `queue ${queue}`,
  };
}

function namedOf({ properties }: ConsumeMessage): Named {
  return (
    exactProperties(properties) ?? {
      properties,
      headers: Object.entries(properties.headers ?? {}),
      unread: null,
    }
  );
}

/** Bytes that are no text are a name too: two of them must not become one. */
function textual(value: unknown): string | null {
  if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString("hex")}`;
  return typeof value === "string" && value !== "" ? value : null;
}

function headersOf({ properties, headers: own, unread }: Named, { fields }: ConsumeMessage): Header[] {
  const headers: Header[] = [];
  for (const [name, value] of own) {
    if (!OURS.has(name.toLowerCase())) headers.push([name, headerValue(value)]);
  }
  for (const [property, name] of PROPERTIES) {
    const value = properties[property];
    if (value === undefined) continue;
    headers.push([name, property === "timestamp" ? instant(Number(value)) : headerValue(value)]);
  }
  if (unread !== null && unread.byteLength > 0) headers.push([UNREAD, unread]);
  headers.push(["amqp-exchange", fields.exchange]);
  if (fields.redelivered) headers.push(["amqp-redelivered", "true"]);
  return headers;
}

/** Text and bytes as they are, a time as RFC 3339, a table or a list as JSON, nothing as an empty text. */
export function headerValue(value: unknown): string | Uint8Array {
  if (typeof value === "string" || value instanceof Uint8Array) return value;
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  const single = tagged(value);
  if (single !== null) return String(single);
  try {
    return JSON.stringify(value, forJson);
  } catch {
    // A table within tables, deeper than JSON.stringify can go.
    return "";
  }
}

/** Buffers have a `toJSON` that goes before; what they were is `this[key]`. */
function forJson(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const was = this[key];
  if (typeof was === "bigint") return String(was);
  if (was instanceof Uint8Array) return Buffer.from(was).toString("base64");
  return typeof was === "object" && was !== null ? (tagged(was) ?? value) : value;
}

/** amqplib gives what JavaScript has no type for as `{ "!": type, value }`; null for anything else. */
function tagged(value: object): string | null {
  if (!("!" in value && "value" in value)) return null;
  if (value["!"] === "timestamp") return instant(Number(value.value));
  if (value["!"] !== "decimal") return null;
  const { places, digits } = Object(value.value) as { places: number; digits: number };
  return (digits / 10 ** places).toFixed(Math.min(places, 100));
}

/** Seconds since 1970, as AMQP has them; a number beyond what a date can be stays one. */
function instant(seconds: number): string {
  const date = new Date(seconds * 1_000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}
