import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { packHeaders } from "../../../src/event.ts";
import { cluster, deliver, kcat, message, writing } from "../../brokers/kafka/kit.ts";
import { startKafka } from "../../brokers/kafka.ts";
import { newEvent } from "../../delivery/kit.ts";
import { waitFor } from "../../wait-for.ts";

const kafka = cluster();

const event = (over: Parameters<typeof newEvent>[0] = {}) => ({
  ...newEvent({ source: "shop", id: randomUUID(), ...over }),
  seq: 1,
});

test("writes an event with its key, its headers and its content type", async (t) => {
  const topic = await kafka.topic(3);
  const sink = await writing(t, { brokers: kafka.bootstrap, topic, headers: { team: "red" } });
  const order = event({ id: "o-1", key: "c-7", body: Buffer.from('{"n":1}') });
  assert.deepEqual(await deliver(sink, { event: order, body: order.body }), { result: "delivered" });
  const [line = ""] = await kcat(kafka.bootstrap, topic);
  assert.match(line, /^\d\|c-7\|.*\|\{"n":1\}$/);
  for (const header of [
    "leat-id=o-1",
    "leat-source=shop",
    "leat-hops=1",
    "content-type=application/json",
    "team=red",
  ])
    assert.ok(line.includes(header), `${header} in ${line}`);
});

test("adds the attributes of CloudEvents when asked", async (t) => {
  const topic = await kafka.topic();
  const sink = await writing(t, { brokers: kafka.bootstrap, topic, cloudevents: true });
  await deliver(sink, { event: event({ id: "o-1", type: "order.made", subject: "orders/1" }) });
  const [line = ""] = await kcat(kafka.bootstrap, topic);
  for (const header of [
    "ce_specversion=1.0",
    "ce_id=o-1",
    "ce_source=shop",
    "ce_type=order.made",
    "ce_subject=orders/1",
    "ce_time=",
  ])
    assert.ok(line.includes(header), `${header} in ${line}`);
});

test("takes topic and key from templates", async (t) => {
  const [first, second] = [await kafka.topic(), await kafka.topic()];
  const sink = await writing(t, { brokers: kafka.bootstrap, topic: "{{ type }}", key: "{{ body.k }}" });
  await deliver(sink, { fields: { topic: first, key: "a" } });
  await deliver(sink, { fields: { topic: second, key: "b" } });
  assert.match((await kcat(kafka.bootstrap, first)).join(), /^0\|a\|/);
  assert.match((await kcat(kafka.bootstrap, second)).join(), /^0\|b\|/);
});

test("sends what comes at once in few requests, each confirmed by itself", async (t) => {
  const topic = await kafka.topic(4);
  const sink = await writing(t, { brokers: kafka.bootstrap, topic });
  const reports = await Promise.all(
    Array.from({ length: 2_000 }, (_, n) =>
      deliver(sink, {
        event: event({ key: `k${n % 97}`, body: Buffer.from(String(n)) }),
        body: Buffer.from(String(n)),
      }),
    ),
  );
  assert.ok(reports.every(({ result }) => result === "delivered"));
  const lines = await kcat(kafka.bootstrap, topic);
  assert.equal(new Set(lines.map((line) => line.split("|").at(-1))).size, 2_000);
  assert.equal(lines.length, 2_000);
});

test("packs with each codec so that others can read it", async (t) => {
  for (const compression of ["gzip", "snappy", "zstd"]) {
    const topic = await kafka.topic();
    const sink = await writing(t, { brokers: kafka.bootstrap, topic, compression });
    const body = Buffer.from(compression.repeat(500));
    await Promise.all(Array.from({ length: 20 }, () => deliver(sink, { body })));
    const lines = await kcat(kafka.bootstrap, topic);
    assert.equal(lines.length, 20);
    assert.ok(lines.every((line) => line.endsWith(body.toString())));
  }
});

test("a record that is too large is rejected with that reason, and those beside it are written", async (t) => {
  const topic = await kafka.topic(1, { "max.message.bytes": "20000" });
  const sink = await writing(t, { brokers: kafka.bootstrap, topic });
  const bodies = [
    ...Array.from({ length: 30 }, (_, n) => Buffer.from(`small ${n}`)),
    Buffer.alloc(30_000, 120),
  ];
  const reports = await Promise.all(bodies.map((body) => deliver(sink, { body })));
  const last = reports.pop();
  assert.equal(last?.result, "rejected");
  assert.equal(last?.result === "rejected" && last.error, "too_large");
  assert.match(last?.result === "rejected" ? last.message : "", /max\.message\.bytes/);
  assert.ok(reports.every(({ result }) => result === "delivered"));
  const written = new Set((await kcat(kafka.bootstrap, topic)).map((line) => line.split("|").at(-1)));
  assert.equal(written.size, 30);
});

test("a topic that isn't there fails with what to do, is found once it is there, and holds up no other", async (t) => {
  const there = await kafka.topic();
  const absent = `t-${randomUUID()}`;
  const sink = await writing(t, { brokers: kafka.bootstrap, topic: "{{ type }}" });
  const [failed, delivered] = await Promise.all([
    deliver(sink, { fields: { topic: absent } }),
    deliver(sink, { fields: { topic: there } }),
  ]);
  assert.deepEqual(delivered, { result: "delivered" });
  assert.equal(failed.result === "failed" && failed.error, "unknown_topic");
  assert.match(failed.result === "failed" ? failed.message : "", /doesn't exist: make it/);
  await kafka.admin.createTopics({ topics: [{ topic: absent }] });
  await waitFor(
    "the topic to be found",
    async () => (await deliver(sink, { fields: { topic: absent } })).result === "delivered",
  );
});

test("a template that makes no topic's name is rejected", async (t) => {
  const sink = await writing(t, { brokers: kafka.bootstrap, topic: "{{ type }}" });
  const report = await deliver(sink, { fields: { topic: "no topic/at all" } });
  assert.equal(report.result === "rejected" && report.error, "topic_name");
});

test("a tombstone stays one, and a key of bytes keeps its bytes", async (t) => {
  const topic = await kafka.topic();
  const sink = await writing(t, { brokers: kafka.bootstrap, topic });
  const raw = Buffer.from([0, 0, 0, 42]);
  const headers = packHeaders([
    ["kafka-tombstone", "true"],
    ["kafka-key", raw],
  ]);
  const deleted = event({ key: `base64:${raw.toString("base64")}`, headers, body: new Uint8Array(0) });
  await deliver(sink, { event: deleted, body: deleted.body });
  const high = await kafka.admin.fetchTopicOffsets(topic);
  assert.equal(high[0]?.high, "1");
  const { stdout } = await import("node:child_process").then(({ spawnSync }) =>
    spawnSync("kcat", ["-C", "-e", "-q", "-b", kafka.bootstrap, "-t", topic, "-f", "%K %S %k"]),
  );
  assert.deepEqual(stdout, Buffer.concat([Buffer.from("4 -1 "), raw]));
});

test("brokers that aren't there: the delivery fails with the reason once its time is over", async (t) => {
  const sink = await writing(t, { brokers: "127.0.0.1:1", topic: "t" });
  const report = await sink.deliver(message(), AbortSignal.timeout(500));
  assert.equal(report.result === "failed" && report.error, "connection_refused");
  assert.equal(sink.standings.at(-1)?.state, "waiting");
});

/** What goes together at most. */
const REQUEST_RECORDS = 500;

test("what was not on its way when a connection was lost waits for the next one, and costs no attempt", async (t) => {
  const broker = await startKafka();
  t.after(broker.close);
  const topic = "orders";
  const client = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic }] });
  await admin.disconnect();
  const sink = await writing(t, { brokers: broker.bootstrap, topic });
  await deliver(sink);
  let settled = 0;
  const body = Buffer.alloc(1_000, "x");
  const reports = Array.from({ length: 5_000 }, () =>
    deliver(sink, { body }, 60_000).finally(() => settled++),
  );
  await waitFor("some to be written", () => settled > 0);
  await broker.kill();
  const waiting = reports.length - settled;
  assert.ok(waiting > 2 * REQUEST_RECORDS, `${waiting} wait`);
  await waitFor("the sink to say so", () => sink.standings.at(-1)?.state === "waiting", 30_000);
  await broker.start();
  const failed = (await Promise.all(reports)).filter(({ result }) => result !== "delivered");
  // Those of the request that was on its way may have been written: only they failed.
  assert.ok(failed.length <= REQUEST_RECORDS, `${failed.length} of ${waiting} failed`);
});
