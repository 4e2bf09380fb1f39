/** What a delivery is as an MQTT PUBLISH, or why it can be none. */

import { topicProblem } from "../../brokers/mqtt/topics.ts";
import type { Message } from "../../component.ts";
import { textOf, unpackHeaders } from "../../event.ts";
import { cloudEventAttributes, leatHeaders } from "../attributes.ts";
import type { MqttSinkConfig } from "./config.ts";
import { collect, propertyProblem, type UserProperties } from "./properties.ts";

export interface Publication {
  readonly topic: string;
  readonly payload: Buffer;
  readonly contentType: string | null;
  /** Null with 3.1.1. */
  readonly userProperties: UserProperties | null;
  /** Of the whole packet. */
  readonly bytes: number;
}

/** No attempt can help: dead at once. */
export class Unpublishable extends Error {
  readonly error: string;

  constructor(error: string, message: string) {
    super(message);
    this.name = "Unpublishable";
    this.error = error;
  }
}

/** A property's code, and the length before each text. */
const [CODE, LENGTH] = [1, 2];

/** Throws Unpublishable. */
export function publicationOf(message: Message, config: MqttSinkConfig): Publication {
  const topic = topicOf(message, config);
  const { body } = message;
  const payload = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const bare = LENGTH + Buffer.byteLength(topic) + (config.qos === 0 ? 0 : LENGTH) + payload.byteLength;
  if (config.version === "3.1.1") {
    return { topic, payload, contentType: null, userProperties: null, bytes: withLength(bare, CODE) };
  }
  const contentType = message.contentType === "" ? null : message.contentType;
  if (contentType !== null) checked("content-type", contentType);
  const pairs = [...propertiesOf(message, config)];
  const properties = pairs.reduce(
    (sum, [name, value]) => sum + CODE + 2 * LENGTH + Buffer.byteLength(name) + Buffer.byteLength(value),
    contentType === null ? 0 : CODE + LENGTH + Buffer.byteLength(contentType),
  );
  const bytes = withLength(withLength(properties, bare), CODE);
  return { topic, payload, contentType, userProperties: collect(pairs), bytes };
}

/** The bytes of `length` and what it counts, beside `more`: a length has a byte for each 7 bits. */
function withLength(length: number, more: number): number {
  const digits = length < 2 ** 7 ? 1 : length < 2 ** 14 ? 2 : length < 2 ** 21 ? 3 : 4;
  return digits + length + more;
}

function topicOf({ fields }: Message, config: MqttSinkConfig): string {
  const { topic } = fields;
  if (topic === undefined) {
    throw new Unpublishable("no_topic", "neither the sink nor the route says to which topic: give topic:");
  }
  const problem = topicProblem(topic);
  if (problem !== null) throw new Unpublishable("invalid_topic", `the topic ${problem}`);
  // Topics with a $ are the broker's own (`$CONTROL/…` commands it): an event may not lead there.
  if (topic.startsWith("$") && firstLevel(topic) !== firstLevel(config.topic ?? "")) {
    throw new Unpublishable(
      "invalid_topic",
      "the topic begins with $, which only the sink's own topic: may say, as it stands",
    );
  }
  return topic;
}

function firstLevel(topic: string): string {
  return topic.slice(0, topic.indexOf("/") >>> 0);
}

function* propertiesOf(message: Message, config: MqttSinkConfig): Generator<readonly [string, string]> {
  yield* Object.entries(config.user_properties);
  for (const [name, value] of leatHeaders(message)) yield checked(name, value);
  if (config.cloudevents)
    for (const [name, value] of cloudEventAttributes(message)) yield checked(name, value);
  if (config.forward_headers.length > 0) yield* forwarded(message, config.forward_headers);
}

function* forwarded({ event }: Message, wanted: readonly string[]): Generator<readonly [string, string]> {
  const names = new Set(wanted.map((name) => name.toLowerCase()));
  for (const [name, value] of unpackHeaders(event.headers)) {
    if (!names.has(name.toLowerCase())) continue;
    const text = textOf(value);
    if (text === null) throw unsendable(name, "is no UTF-8, and MQTT carries nothing else");
    yield checked(name, text);
  }
}

function checked(name: string, value: string): readonly [string, string] {
  const problem = propertyProblem(name, value);
  if (problem !== null) throw unsendable(name, problem);
  return [name, value];
}

function unsendable(name: string, problem: string): Unpublishable {
  return new Unpublishable("unsendable", `its ${name.slice(0, 100)} ${problem}`);
}
