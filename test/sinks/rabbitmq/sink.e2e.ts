import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { packHeaders } from "../../../src/event.ts";
import { outside, ownQueue, startSink } from "../../brokers/rabbitmq/kit.ts";
import { type SharedBroker, sharedRabbitmq } from "../../brokers/shared.ts";
import { newEvent } from "../../delivery/kit.ts";
import { waitFor } from "../../wait-for.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedRabbitmq();
});
after(() => broker.close());

const event = (over: object) => ({ ...newEvent(over), seq: 7 });

test("an event becomes a persistent message with its names, and counts when the broker has confirmed it", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, {
    url: broker.url,
    headers: { team: "shop" },
    forward_headers: ["X-Raw", "x-text"],
    cloudevents: true,
  });
  const headers = packHeaders([
    ["x-raw", Buffer.from([0xff])],
    ["X-Text", "yes"],
    ["x-secret", "no"],
    ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ]);
  const body = Buffer.from([0, 0xff]);
  const made = event({ id: "e9", type: "job.done", subject: "jobs/9", time: 1_700_000_000_500, headers });
  const report = await sink.deliver(
    { routing_key: queue },
    { event: made, body, contentType: "application/octet-stream", attempt: 2, hops: 3, replay: 1 },
  );
  assert.deepEqual(report, { result: "delivered" });
  const got = await there.channel.get(queue, { noAck: true });
  assert.ok(got);
  assert.deepEqual(got.content, body);
  const { messageId, type, timestamp, deliveryMode, contentType, headers: sent = {} } = got.properties;
  assert.deepEqual(
    { messageId, type, timestamp, deliveryMode, contentType },
    {
      messageId: "e9",
      type: "job.done",
      timestamp: 1_700_000_000,
      deliveryMode: 2,
      contentType: "application/octet-stream",
    },
  );
  const { traceparent, ...others } = sent;
  assert.match(
    String(traceparent),
    /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
  );
  assert.deepEqual(others, {
    "x-raw": Buffer.from([0xff]),
    "X-Text": "yes",
    team: "shop",
    "leat-id": "e9",
    "leat-source": "in",
    "leat-route": "payments",
    "leat-attempt": "2",
    "leat-hops": "3",
    "leat-replay": "1",
    "cloudEvents:specversion": "1.0",
    "cloudEvents:id": "e9",
    "cloudEvents:source": "in",
    "cloudEvents:type": "job.done",
    "cloudEvents:subject": "jobs/9",
    "cloudEvents:time": "2023-11-14T22:13:20.500Z",
  });
});

test("an unroutable event is dead with that reason, its neighbours of the same id are delivered", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, { url: broker.url });
  const keys = Array.from({ length: 60 }, (_, n) => (n % 3 === 0 ? `nobody-${n}` : queue));
  const reports = await Promise.all(keys.map((routing_key) => sink.deliver({ routing_key })));
  for (const [n, report] of reports.entries()) {
    if (n % 3 !== 0) assert.deepEqual(report, { result: "delivered" });
    else {
      assert.equal(report.result === "rejected" && report.error, "unroutable");
      assert.match(report.result === "rejected" ? report.message : "", new RegExp(`'nobody-${n}'`));
    }
  }
  assert.equal((await there.channel.checkQueue(queue)).messageCount, 40);
});

test("with `mandatory: false` the broker may drop what has no queue", async (t) => {
  const sink = await startSink(t, { url: broker.url, mandatory: false });
  assert.deepEqual(await sink.deliver({ routing_key: `nobody-${randomUUID()}` }), { result: "delivered" });
});

test("an exchange that isn't there fails with the remedy, others are not held up, and it works once it is there", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const exchange = `leat-test-${randomUUID()}`;
  const sink = await startSink(t, { url: broker.url });
  const reports = await Promise.all([
    sink.deliver({ exchange, routing_key: "a.b" }),
    ...Array.from({ length: 20 }, () => sink.deliver({ routing_key: queue })),
    sink.deliver({ exchange, routing_key: "a.b" }),
  ]);
  for (const report of [reports[0], reports.at(-1)]) {
    assert.equal(report?.result === "failed" && report.error, "unknown_exchange");
    assert.match(report?.result === "failed" ? report.message : "", /create the exchange/);
  }
  assert.equal(reports.filter(({ result }) => result === "delivered").length, 20);
  await there.channel.assertExchange(exchange, "topic", { autoDelete: true });
  await there.channel.bindQueue(queue, exchange, "a.*");
  assert.deepEqual(await sink.deliver({ exchange, routing_key: "a.b" }), { result: "delivered" });
  // Deleted while its channel is open: the broker closes that channel, and only that.
  await there.channel.deleteExchange(exchange);
  const gone = await sink.deliver({ exchange, routing_key: "a.b" });
  assert.equal(gone.result === "failed" && gone.error, "unknown_exchange");
  assert.deepEqual(await sink.deliver({ routing_key: queue }), { result: "delivered" });
  assert.deepEqual(sink.standings, [{ state: "connected" }]);
});

test("a queue that is full and says so is a failure to be tried again", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there, { "x-max-length": 1, "x-overflow": "reject-publish" });
  const sink = await startSink(t, { url: broker.url });
  const reports = await Promise.all(Array.from({ length: 10 }, () => sink.deliver({ routing_key: queue })));
  const errors = reports.map((report) => (report.result === "failed" ? report.error : report.result));
  assert.ok(errors.includes("nack") && errors.includes("delivered"), errors.join());
});

test("what AMQP can't carry is dead at once: a routing key over 255 bytes, headers over 64 KiB, a long content type", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, { url: broker.url, forward_headers: ["x-long"] });
  const long = event({ headers: packHeaders([["x-long", Buffer.alloc(70_000, 0x41)]]) });
  const reports = await Promise.all([
    sink.deliver({ routing_key: "ä".repeat(128) }),
    sink.deliver({ routing_key: queue }, { event: long }),
    sink.deliver({ routing_key: queue }, { contentType: "x".repeat(256) }),
  ]);
  for (const report of reports) assert.equal(report.result === "rejected" && report.error, "unsendable");
  assert.deepEqual(await sink.deliver({ routing_key: queue }), { result: "delivered" });
});

test("an id that is no message id leaves it to `leat-id`", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, { url: broker.url });
  const id = "x".repeat(400);
  const made = event({ id, type: "t".repeat(300) });
  assert.deepEqual(await sink.deliver({ routing_key: queue }, { event: made }), { result: "delivered" });
  const got = await there.channel.get(queue, { noAck: true });
  assert.ok(got);
  assert.equal(got.properties.messageId, "in_7");
  assert.equal(got.properties.type, undefined);
  assert.equal(got.properties.headers?.["leat-id"], id);
});

test("large bodies wait for room in the socket and all arrive", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, { url: broker.url });
  const body = Buffer.alloc(2 * 2 ** 20, 1);
  const reports = await Promise.all(
    Array.from({ length: 30 }, () => sink.deliver({ routing_key: queue }, { body }, 60_000)),
  );
  assert.deepEqual(new Set(reports.map(({ result }) => result)), new Set(["delivered"]));
  assert.equal((await there.channel.checkQueue(queue)).messageCount, 30);
});

test("more exchanges than there may be channels take turns", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, { url: broker.url });
  const names = Array.from({ length: 100 }, (_, n) => `leat-test-${queue}-${n}`);
  for (const name of names) {
    there.undo(() => there.channel.deleteExchange(name));
    await there.channel.assertExchange(name, "fanout");
    await there.channel.bindQueue(queue, name, "");
    assert.deepEqual(await sink.deliver({ exchange: name }), { result: "delivered" });
  }
  const reports = await Promise.all(names.map((exchange) => sink.deliver({ exchange })));
  assert.deepEqual(new Set(reports.map(({ result }) => result)), new Set(["delivered"]));
  await waitFor("all messages", async () => (await there.channel.checkQueue(queue)).messageCount === 200);
});
