import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { unpackHeaders } from "../../../src/event.ts";
import { cluster, KafkaHost, lz4, reading } from "../../brokers/kafka/kit.ts";
import { waitFor } from "../../wait-for.ts";

const kafka = cluster();

const NONE = 0;
const GZIP = 1;
const SNAPPY = 2;
const ZSTD = 4;

test("takes records of each codec with key, headers, subject and a type, and commits once they are on disk", async (t) => {
  const topic = await kafka.topic(2);
  const group = `g-${randomUUID()}`;
  for (const codec of [NONE, GZIP, SNAPPY, ZSTD]) {
    const headers = { ce_type: "order.made", "Content-Type": "application/json", twice: ["a", "b"] };
    await kafka.produce(
      topic,
      [{ partition: 1, key: `k${codec}`, value: `{"codec":${codec}}`, headers }],
      codec,
    );
  }
  const host = new KafkaHost();
  host.holding = true;
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic], group });
  await waitFor("the records to be appended", () => host.waiting === 4);
  assert.deepEqual(await kafka.committed(group, topic), { 0: -1, 1: -1 });
  host.holding = false;
  host.commit();
  const events = await host.events(4);
  assert.deepEqual(
    events.map(({ key }) => key),
    ["k0", "k1", "k2", "k4"],
  );
  const [first] = events;
  assert.match(first?.id ?? "", new RegExp(`^${topic}-1-0-\\d{13}$`));
  assert.equal(first?.type, "order.made");
  assert.equal(first?.subject, topic);
  assert.deepEqual(
    unpackHeaders(first?.headers ?? new Uint8Array(0)).map(([name, value]) => [
      name,
      Buffer.from(value).toString(),
    ]),
    [
      ["ce_type", "order.made"],
      ["Content-Type", "application/json"],
      ["twice", "a"],
      ["twice", "b"],
    ],
  );
  await waitFor("the commit", async () => (await kafka.committed(group, topic))[1] === 4);
});

test("keeps the order within a partition, and goes on after a restart without a gap or a repeat", async (t) => {
  const topic = await kafka.topic(3);
  const config = { brokers: kafka.bootstrap, topics: [topic], group: `g-${randomUUID()}` };
  const numbers = (from: number) =>
    Array.from({ length: 3_000 }, (_, n) => ({ partition: n % 3, value: String(from + n) }));
  await kafka.produce(topic, numbers(0));
  const host = new KafkaHost();
  const source = await reading(t, host, config);
  await host.events(3_000);
  await source.stop();
  await kafka.produce(topic, numbers(3_000));
  await reading(t, host, config);
  await host.events(6_000);
  for (const partition of [0, 1, 2]) {
    const seen = host
      .bodies()
      .map(Number)
      .filter((n) => n % 3 === partition);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
  }
  assert.equal(new Set(host.bodies()).size, 6_000);
});

test("a tombstone, an empty body, a binary one and a key that is no text come as they are", async (t) => {
  const topic = await kafka.topic();
  const binary = randomBytes(300);
  await kafka.produce(topic, [
    { key: "gone", value: null },
    { key: "empty", value: "" },
    { key: Buffer.from([0, 0, 0, 7]), value: binary, headers: { odd: Buffer.from([0xff, 0xfe]) } },
    { key: null, value: "no key" },
  ]);
  const host = new KafkaHost();
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic] });
  const events = await host.events(4);
  const headers = events.map((event) =>
    Object.fromEntries(unpackHeaders(event.headers).map(([name, value]) => [name, Buffer.from(value)])),
  );
  assert.deepEqual(
    events.map(({ key }) => key),
    ["gone", "empty", "base64:AAAABw==", null],
  );
  assert.deepEqual(
    events.map(({ body }) => body.byteLength),
    [0, 0, 300, 6],
  );
  assert.deepEqual(headers[0], { "kafka-tombstone": Buffer.from("true") });
  assert.deepEqual(headers[1], {});
  assert.deepEqual(headers[2], { odd: Buffer.from([0xff, 0xfe]), "kafka-key": Buffer.from([0, 0, 0, 7]) });
  assert.deepEqual(Buffer.from(events[2]?.body ?? []), binary);
});

test("a schema registry's record keeps its bytes, and says which schema it has", async (t) => {
  const topic = await kafka.topic();
  const value = Buffer.concat([Buffer.from([0, 0, 0, 1, 2]), Buffer.from('{"a":1}')]);
  await kafka.produce(topic, [{ value }, { value }]);
  const host = new KafkaHost();
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic] });
  const [event] = await host.events(2);
  assert.deepEqual(Buffer.from(event?.body ?? []), value);
  assert.equal(
    Buffer.from(unpackHeaders(event?.headers ?? new Uint8Array(0))[0]?.[1] ?? []).toString(),
    "258",
  );
  assert.equal(host.kept.lines.filter(({ message }) => message.includes("schema registry")).length, 1);
});

test("a batch that unpacks to 500 times its size comes through with little memory", async (t) => {
  const topic = await kafka.topic(1, { "max.message.bytes": "4000000" });
  const value = Buffer.alloc(1_000_000);
  // Some 100 MiB in a batch of a few hundred KiB, with each of the codecs that can do that.
  for (const codec of [GZIP, ZSTD]) {
    await kafka.produce(
      topic,
      Array.from({ length: 100 }, (_, n) => ({ key: String(n), value })),
      codec,
    );
  }
  const host = new KafkaHost();
  let [bodies, most] = [0, 0];
  const before = process.memoryUsage().arrayBuffers;
  host.append = async ({ id, body }) => {
    bodies += body.byteLength;
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    await new Promise((resolve) => setImmediate(resolve));
    return { seq: 1, id: id ?? "", duplicate: false, differs: false };
  };
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic] });
  await waitFor("all of it", () => bodies === 200 * value.length, 30_000);
  assert.ok(most < 64 * 1024 * 1024, `${Math.round(most / 2 ** 20)} MiB`);
});

test("a record over the limit is kept as refused and gone past", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [
    { value: "before" },
    { key: "big", value: Buffer.alloc(5_000, 97) },
    { value: "after" },
  ]);
  const host = new KafkaHost();
  host.maxEventBytes = 1_000;
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic] });
  await host.events(2);
  assert.deepEqual(host.bodies(), ["before", "after"]);
  const [refusal] = host.refusals;
  assert.equal(refusal?.reason, "too_large");
  assert.equal(refusal?.key, "big");
  assert.equal(refusal?.body?.byteLength, 1_024);
  assert.match(refusal?.detail ?? "", /5000 bytes/);
  assert.equal(refusal?.address, `${topic}/0@1`);
});

test("a record over the limit stops the source instead, where oversize is hold", async (t) => {
  const topic = await kafka.topic();
  const group = `g-${randomUUID()}`;
  await kafka.produce(topic, [{ value: "before" }, { value: Buffer.alloc(5_000) }, { value: "after" }]);
  const host = new KafkaHost();
  host.maxEventBytes = 1_000;
  const config = { brokers: kafka.bootstrap, topics: [topic], group, oversize: "hold" };
  const source = await reading(t, host, config);
  await waitFor(
    "it to stand still",
    () => host.standing?.state === "waiting" && host.standing.error === "oversize",
  );
  await source.stop();
  assert.ok(((await kafka.committed(group, topic))[0] ?? 0) <= 1);
  host.maxEventBytes = 10_000;
  await reading(t, host, config);
  await waitFor("what had been held", () => host.bodies().includes("after"));
});

test("an lz4 batch stops its partition and raises an event; the others go on", async (t) => {
  const topic = await kafka.topic(2);
  await kafka.produce(topic, [{ partition: 0, value: "readable" }]);
  await lz4(kafka.bootstrap, topic, 0);
  const host = new KafkaHost();
  const source = await reading(t, host, { brokers: kafka.bootstrap, topics: [topic], discover: "1s" });
  await waitFor("the event", () => host.refusals.length === 1);
  assert.equal(host.refusals[0]?.reason, "lz4");
  assert.match(host.refusals[0]?.detail ?? "", /stands still at offset 1: .*lz4/);
  assert.equal(host.standing?.state === "waiting" && host.standing.error, "lz4");
  await kafka.produce(topic, [{ partition: 1, value: "others" }]);
  await host.events(2);
  assert.deepEqual(host.bodies(), ["readable", "others"]);
  await waitFor("the lag to show it", () => source.lag() === 1);
});

test("start: latest skips what there is, also in partitions that stay quiet, and nothing that comes later", async (t) => {
  const topic = await kafka.topic(2);
  const config = { brokers: kafka.bootstrap, topics: [topic], group: `g-${randomUUID()}`, start: "latest" };
  await kafka.produce(topic, [
    { partition: 0, value: "old" },
    { partition: 1, value: "old" },
  ]);
  const host = new KafkaHost();
  const source = await reading(t, host, config);
  await waitFor(
    "the places to be committed",
    async () => (await kafka.committed(config.group, topic))[1] === 1,
  );
  await kafka.produce(topic, [{ partition: 0, value: "new" }]);
  await host.events(1);
  await source.stop();
  await kafka.produce(topic, [{ partition: 1, value: "while away" }]);
  await reading(t, host, config);
  await host.events(2);
  assert.deepEqual(host.bodies(), ["new", "while away"]);
});

test("start: latest begins where a person has put the group, also at the beginning", async (t) => {
  const topic = await kafka.topic();
  const group = `g-${randomUUID()}`;
  await kafka.produce(topic, [{ value: "old" }]);
  // kafkajs commits -2 for it.
  await kafka.admin.resetOffsets({ groupId: group, topic, earliest: true });
  assert.deepEqual(await kafka.committed(group, topic), { 0: -2 });
  const host = new KafkaHost();
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic], group, start: "latest" });
  await host.events(1);
  assert.deepEqual(host.bodies(), ["old"]);
});

test("partitions that are added to a topic are read from their beginning, also with start: latest", async (t) => {
  const topic = await kafka.topic(1);
  await kafka.produce(topic, [{ value: "old" }]);
  const config = { brokers: kafka.bootstrap, topics: [topic], group: `g-${randomUUID()}`, start: "latest" };
  const host = new KafkaHost();
  const source = await reading(t, host, config);
  await waitFor("the place", async () => (await kafka.committed(config.group, topic))[0] === 1);
  await source.stop();
  await kafka.admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] });
  // kafkajs takes a partition that it doesn't know yet for written.
  await kafka.producer.disconnect();
  await kafka.producer.connect();
  await kafka.produce(topic, [{ partition: 1, value: "in the new one" }]);
  await reading(t, host, config);
  await host.events(1);
  assert.deepEqual([...new Set(host.bodies())], ["in the new one"]);
});

test("topics that come later and match are found and read from their beginning", async (t) => {
  const prefix = `x-${randomUUID()}`;
  const host = new KafkaHost();
  const config = { brokers: kafka.bootstrap, topics: [`/${prefix}-.*/`], discover: "1s", start: "latest" };
  await reading(t, host, config);
  await waitFor("it to look", () => host.standing?.state === "connected");
  for (const name of ["one", "two"]) {
    await kafka.admin.createTopics({ topics: [{ topic: `${prefix}-${name}` }] });
    await kafka.produce(`${prefix}-${name}`, [{ value: name }]);
    await waitFor(name, () => host.bodies().includes(name), 15_000);
  }
});

test("an unknown topic is said with its remedy while others are read, and read once it is there", async (t) => {
  const there = await kafka.topic();
  const absent = `t-${randomUUID()}`;
  await kafka.produce(there, [{ value: "there" }]);
  const host = new KafkaHost();
  await reading(t, host, { brokers: kafka.bootstrap, topics: [there, absent], discover: "1s" });
  await host.events(1);
  await waitFor("the standing", () => host.standing?.state === "waiting");
  assert.ok(host.standing?.state === "waiting");
  assert.equal(host.standing.error, "unknown_topic");
  assert.match(host.standing.message, new RegExp(`${absent}.*make it`));
  await kafka.admin.createTopics({ topics: [{ topic: absent }] });
  await kafka.produce(absent, [{ value: "made" }]);
  await host.events(2);
  await waitFor("it to be connected", () => host.standing?.state === "connected");
});

test("of a topic alone that isn't there it says so, and keeps looking", async (t) => {
  const topic = `t-${randomUUID()}`;
  const host = new KafkaHost();
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic] });
  await waitFor("the standing", () => host.standing?.state === "waiting");
  assert.equal(host.standing?.state === "waiting" && host.standing.error, "unknown_topic");
  await kafka.admin.createTopics({ topics: [{ topic }] });
  await kafka.produce(topic, [{ value: "made" }]);
  await host.events(1);
});

test("two sources of one group with different topics each get their own", async (t) => {
  const [first, second] = [await kafka.topic(2), await kafka.topic(2)];
  const group = `g-${randomUUID()}`;
  const [one, two] = [new KafkaHost(), new KafkaHost()];
  await reading(t, one, { brokers: kafka.bootstrap, topics: [first], group });
  await reading(t, two, { brokers: kafka.bootstrap, topics: [second], group });
  for (const partition of [0, 1]) {
    await kafka.produce(first, [{ partition, value: `first ${partition}` }]);
    await kafka.produce(second, [{ partition, value: `second ${partition}` }]);
  }
  await one.events(2, 30_000);
  await two.events(2, 30_000);
  assert.deepEqual(one.bodies().toSorted(), ["first 0", "first 1"]);
  assert.deepEqual(two.bodies().toSorted(), ["second 0", "second 1"]);
});

test("what was rolled back isn't read, what was committed is, and the place goes past both", async (t) => {
  const topic = await kafka.topic();
  const group = `g-${randomUUID()}`;
  const client = new Kafka({ brokers: [kafka.bootstrap], logLevel: logLevel.NOTHING });
  const producer = client.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: randomUUID(),
  });
  await producer.connect();
  t.after(() => producer.disconnect());
  for (const [word, commits] of [
    ["no", false],
    ["yes", true],
    ["never", false],
  ] as const) {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ value: word }, { value: word }] });
    await (commits ? transaction.commit() : transaction.abort());
  }
  const host = new KafkaHost();
  const source = await reading(t, host, { brokers: kafka.bootstrap, topics: [topic], group });
  await waitFor("the place", async () => (await kafka.committed(group, topic))[0] === 9);
  assert.deepEqual(host.bodies(), ["yes", "yes"]);
  assert.equal(source.lag(), 0);
});
