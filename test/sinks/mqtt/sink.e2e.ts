import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { type SharedBroker, sharedMqtt } from "../../brokers/shared.ts";
import { waitFor } from "../../wait-for.ts";
import { connectedSink, message, reader } from "./rig.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedMqtt();
});
after(() => broker.close());

const newPrefix = () => `s/${randomUUID()}`;

test("publishes the body with what Leat says of it as user properties, and is delivered on the confirm", async (t) => {
  const prefix = newPrefix();
  const got = await reader(t, broker.url, prefix);
  const { deliver } = await connectedSink(t, {
    url: broker.url,
    user_properties: { site: "größte" },
    forward_headers: ["X-Kind", "absent"],
  });
  const body = Buffer.from([0, 255, 10]);
  const headers: [string, string][] = [
    ["x-kind", "one"],
    ["x-kind", "two"],
    ["x-other", "no"],
    ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ];
  const made = message(`${prefix}/a`, { body, headers, contentType: "application/octet-stream", id: "id/1" });
  assert.deepEqual(await deliver(made), { result: "delivered" });
  await waitFor("the message", () => got.length === 1);
  const [packet] = got;
  assert.deepEqual(packet?.payload, body);
  assert.equal(packet?.qos, 1);
  assert.equal(packet?.retain, false);
  assert.equal(packet?.properties?.contentType, "application/octet-stream");
  const { traceparent, ...properties } = { ...packet?.properties?.userProperties };
  assert.match(
    String(traceparent),
    /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
  );
  assert.deepEqual(properties, {
    site: "größte",
    "leat-id": "id/1",
    "leat-source": "hook",
    "leat-route": "r",
    "leat-attempt": "1",
    "leat-hops": "3",
    "x-kind": ["one", "two"],
  });
});

test("cloudevents: the attributes stand as user properties, as the MQTT binding says", async (t) => {
  const prefix = newPrefix();
  const got = await reader(t, broker.url, prefix);
  const { deliver } = await connectedSink(t, { url: broker.url, cloudevents: true });
  await deliver(message(`${prefix}/a`, { id: "e1", type: "order.paid", contentType: "application/json" }));
  await waitFor("the message", () => got.length === 1);
  const { userProperties = {}, contentType } = got[0]?.properties ?? {};
  const { specversion, id, source, type, time, subject } = userProperties;
  assert.deepEqual(
    { specversion, id, source, type, time, subject, contentType },
    {
      specversion: "1.0",
      id: "e1",
      source: "hook",
      type: "order.paid",
      time: "2023-11-14T22:13:20.000Z",
      subject: "a/b",
      contentType: "application/json",
    },
  );
});

test("3.1.1 publishes the bare body", async (t) => {
  const prefix = newPrefix();
  const got = await reader(t, broker.url, prefix);
  const { deliver } = await connectedSink(t, { url: broker.url, version: "3.1.1" });
  assert.deepEqual(await deliver(message(`${prefix}/a`, { body: "x" })), { result: "delivered" });
  await waitFor("the message", () => got.length === 1);
  assert.deepEqual(got[0]?.properties?.userProperties, undefined);
});

test("QoS 0 and retain go along; an empty body is sent too", async (t) => {
  const prefix = newPrefix();
  const got = await reader(t, broker.url, prefix);
  const fields = { url: broker.url, qos: 0, retain: true };
  const { deliver } = await connectedSink(t, fields);
  assert.deepEqual(await deliver(message(`${prefix}/a`, { body: "kept" })), { result: "delivered" });
  assert.deepEqual(await deliver(message(`${prefix}/a`, { body: "" })), { result: "delivered" });
  await waitFor("both", () => got.length === 2);
  assert.deepEqual(
    got.map(({ payload, qos, retain }) => [String(payload), qos, retain]),
    [
      ["kept", 0, true],
      ["", 0, true],
    ],
  );
});

test("a topic that MQTT can't carry is dead at once, with the reason", async (t) => {
  const { deliver } = await connectedSink(t, { url: broker.url, topic: "$own/{{ key }}" });
  const cases: [string | undefined, string][] = [
    [undefined, "no_topic"],
    ["", "invalid_topic"],
    ["a/+/b", "invalid_topic"],
    ["a/#", "invalid_topic"],
    ["a\0b", "invalid_topic"],
    ["a\ud800b", "invalid_topic"],
    ["x".repeat(65_536), "invalid_topic"],
    ["$SYS/broker", "invalid_topic"],
    ["$CONTROL/dynamic-security/v1", "invalid_topic"],
  ];
  for (const [topic, error] of cases) {
    const report = await deliver(message(topic));
    assert.equal(report.result, "rejected");
    assert.equal(report.error, error, String(topic).slice(0, 30));
  }
  const [long, own] = [`${"ä".repeat(30_000)}`, "$own/x"];
  assert.deepEqual(await deliver(message(long)), { result: "delivered" });
  assert.deepEqual(await deliver(message(own)), { result: "delivered" });
});

test("headers that MQTT can't carry are dead at once; others go on", async (t) => {
  const { deliver } = await connectedSink(t, { url: broker.url, forward_headers: ["x"] });
  for (const value of [Buffer.from([0xff]), "a\0b", "x".repeat(65_536)]) {
    const report = await deliver(message("ok", { headers: [["x", value]] }));
    assert.equal(report.result === "rejected" && report.error, "unsendable");
  }
  const contentType = await deliver(message("ok", { contentType: "a\0b" }));
  assert.equal(contentType.result, "rejected");
  const fine = message("ok", {
    headers: [
      ["x", ""],
      ["__proto__", "y"],
    ],
    contentType: "",
  });
  assert.deepEqual(await deliver(fine), { result: "delivered" });
});

test("many at once keep to what the broker wants unconfirmed, and all arrive in order", async (t) => {
  const prefix = newPrefix();
  const got = await reader(t, broker.url, prefix);
  // Mosquitto's Receive Maximum is 20.
  const { deliver } = await connectedSink(t, { url: broker.url });
  const bodies = Array.from({ length: 500 }, (_, n) => String(n));
  const reports = await Promise.all(bodies.map((body) => deliver(message(`${prefix}/a`, { body }))));
  assert.ok(reports.every(({ result }) => result === "delivered"));
  await waitFor("all", () => got.length === 500);
  assert.deepEqual(
    got.map(({ payload }) => String(payload)),
    bodies,
  );
});
