import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/component.ts";
import { NO_HEADERS } from "../../src/event.ts";
import { cloudEventAttributes, leatHeaders } from "../../src/sinks/attributes.ts";

function message(over: Partial<Message["event"]> = {}, more: Partial<Message> = {}): Message {
  return {
    event: {
      seq: 7,
      source: "orders",
      id: "orders-0-17-1",
      type: "order.paid",
      subject: "orders",
      key: "k",
      time: Date.UTC(2026, 0, 31, 12),
      headers: NO_HEADERS,
      body: Buffer.from("{}"),
      hops: 0,
      cause: null,
      ...over,
    },
    body: Buffer.from("{}"),
    contentType: null,
    fields: {},
    route: "all",
    subscription: "all/out",
    attempt: 2,
    replay: 0,
    hops: 1,
    ...more,
  };
}

test("what Leat says of an event: its id and source, the route, the attempt, the hops, a trace", () => {
  const { traceparent, ...said } = Object.fromEntries(leatHeaders(message()));
  assert.deepEqual(said, {
    "leat-id": "orders-0-17-1",
    "leat-source": "orders",
    "leat-route": "all",
    "leat-attempt": "2",
    "leat-hops": "1",
  });
  assert.match(traceparent ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
  assert.equal(Object.fromEntries(leatHeaders(message({}, { replay: 3 })))["leat-replay"], "3");
});

test("CloudEvents attributes, without a subject where there is none", () => {
  assert.deepEqual(Object.fromEntries(cloudEventAttributes(message())), {
    specversion: "1.0",
    id: "orders-0-17-1",
    source: "orders",
    type: "order.paid",
    time: "2026-01-31T12:00:00.000Z",
    subject: "orders",
  });
  for (const subject of [null, ""]) {
    assert.equal(
      Object.hasOwn(Object.fromEntries(cloudEventAttributes(message({ subject }))), "subject"),
      false,
    );
  }
});
