import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsumeMessage, MessageProperties } from "amqplib";
import { headerValue, unpackHeaders } from "../../../src/event.ts";
import { headerValue as fromAmqp, toArrival } from "../../../src/sources/rabbitmq/arrival.ts";

const NONE: MessageProperties = {
  contentType: undefined,
  contentEncoding: undefined,
  headers: {},
  deliveryMode: undefined,
  priority: undefined,
  correlationId: undefined,
  replyTo: undefined,
  expiration: undefined,
  messageId: undefined,
  timestamp: undefined,
  type: undefined,
  userId: undefined,
  appId: undefined,
  clusterId: undefined,
};

function message(properties: Partial<MessageProperties>): ConsumeMessage {
  const fields = {
    deliveryTag: 1,
    redelivered: false,
    exchange: "shop",
    routingKey: "a.b",
    consumerTag: "c",
  };
  return { fields, properties: { ...NONE, ...properties }, content: Buffer.from("x") };
}

const typeOf = (properties: Partial<MessageProperties>) => toArrival(message(properties), "q").type;

test("the type is CloudEvents' where there is one, by either prefix, else AMQP's", () => {
  assert.equal(typeOf({ type: "amqp", headers: { "cloudEvents:type": "ce" } }), "ce");
  assert.equal(typeOf({ type: "amqp", headers: { cloudEvents_type: "ce_" } }), "ce_");
  assert.equal(typeOf({ type: "amqp", headers: { "cloudEvents:type": 7 } }), "amqp");
  assert.equal(typeOf({ type: "" }), null);
});

test("an empty message id is none", () => {
  assert.equal(toArrival(message({ messageId: "" }), "q").id, null);
});

test("a header of the message's own can't pass for a property", () => {
  const headers = { "AMQP-Exchange": "mine", "content-type": "text/html", "amqp-redelivered": "true" };
  const { headers: packed } = toArrival(message({ headers, contentType: "text/plain" }), "q");
  assert.equal(headerValue(packed, "amqp-exchange"), "shop");
  assert.equal(headerValue(packed, "content-type"), "text/plain");
  assert.equal(headerValue(packed, "amqp-redelivered"), undefined);
  assert.equal(unpackHeaders(packed).length, 2);
});

test("each type of AMQP becomes text, bytes stay bytes, a table becomes JSON", () => {
  const bytes = Buffer.from([0xff, 0]);
  assert.equal(fromAmqp(bytes), bytes);
  assert.equal(fromAmqp(true), "true");
  assert.equal(fromAmqp(-1.5), "-1.5");
  assert.equal(fromAmqp(null), "");
  const time = { "!": "timestamp", value: 1_700_000_000 };
  assert.equal(fromAmqp(time), "2023-11-14T22:13:20.000Z");
  assert.equal(fromAmqp({ "!": "timestamp", value: 1e17 }), "100000000000000000");
  assert.equal(fromAmqp({ "!": "decimal", value: { places: 2, digits: 1234 } }), "12.34");
  const table = {
    list: [1, "a", null, bytes],
    time,
    deep: { "!": "decimal", value: { places: 0, digits: 7 } },
  };
  assert.equal(fromAmqp(table), '{"list":[1,"a",null,"/wA="],"time":"2023-11-14T22:13:20.000Z","deep":"7"}');
});

test("a table deeper than the stack makes an empty text, not an error", () => {
  let deep: unknown = 1;
  for (let n = 0; n < 100_000; n++) deep = { deep };
  assert.equal(fromAmqp(deep), "");
});

test("a name that isn't ASCII is percent-encoded", () => {
  const { headers } = toArrival(message({ headers: { grüße: "ja" } }), "q");
  assert.equal(headerValue(headers, "gr%c3%bc%c3%9fe"), "ja");
});
