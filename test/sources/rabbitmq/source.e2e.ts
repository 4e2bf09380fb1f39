import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { LeatError } from "../../../src/errors.ts";
import { headerValue, unpackHeaders } from "../../../src/event.ts";
import { BrokerHost, type Outside, outside, ownQueue, startSource } from "../../brokers/rabbitmq/kit.ts";
import { type SharedBroker, sharedRabbitmq } from "../../brokers/shared.ts";
import { waitFor } from "../../wait-for.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedRabbitmq();
});
after(() => broker.close());

test("a message is taken as it is, and acknowledged once it is on disk", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.holding = true;
  const source = await startSource(t, host, { url: broker.url, queue });
  const body = Buffer.from([0, 0xff, 0x41]);
  there.channel.sendToQueue(queue, body, {
    messageId: "m1",
    type: "job.made",
    contentType: "application/octet-stream",
    correlationId: "c1",
    timestamp: 1_700_000_000,
    headers: {
      "leat-hops": "2",
      list: [1, "a"],
      table: { b: Buffer.from([1]) },
      raw: Buffer.from([0xff]),
      n: 7,
    },
  });
  await waitFor("the append", () => host.waiting === 1);
  await there.channel.waitForConfirms();
  assert.equal((await there.channel.checkQueue(queue)).messageCount, 0, "in hand");
  host.commit();
  await waitFor("the event", () => host.appended.length === 1);
  const [event] = host.appended;
  assert.ok(event);
  const { id, type, subject, key, hops } = event;
  assert.deepEqual(
    { id, type, subject, key, hops },
    { id: "m1", type: "job.made", subject: queue, key: null, hops: 2 },
  );
  assert.deepEqual(Buffer.from(event.body), body);
  const headers = unpackHeaders(event.headers).map(([name, value]) => [
    name,
    Buffer.from(value).toString("latin1"),
  ]);
  assert.deepEqual(Object.fromEntries(headers), {
    "leat-hops": "2",
    list: '[1,"a"]',
    table: '{"b":"AQ=="}',
    raw: "\xff",
    n: "7",
    "content-type": "application/octet-stream",
    "amqp-message-id": "m1",
    "amqp-correlation-id": "c1",
    "amqp-type": "job.made",
    "amqp-timestamp": "2023-11-14T22:13:20.000Z",
    "amqp-exchange": "",
  });
  await source.stop();
  assert.equal((await there.channel.checkQueue(queue)).messageCount, 0, "acknowledged");
});

/** Messages that wait in the queue, and those in its consumers' hands. */
async function ready({ channel }: Outside, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount;
}

async function consumers({ channel }: Outside, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).consumerCount;
}

test("what is on disk when it stops is acknowledged, what isn't goes back", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.holding = true;
  const source = await startSource(t, host, { url: broker.url, queue, prefetch: 10 });
  for (let n = 0; n < 30; n++) there.channel.sendToQueue(queue, Buffer.from(`${n}`), { messageId: `m${n}` });
  await waitFor("as many as it may take", () => host.waiting === 10);
  const stopped = source.stop();
  host.commit();
  await stopped;
  assert.equal(host.appended.length, 10);
  await waitFor("the others to be back", async () => (await ready(there, queue)) === 20);
});

test("what comes again after a cut is marked, and has its message id as event id, so that it is a known duplicate", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.holding = true;
  const source = await startSource(t, host, { url: broker.url, queue });
  there.channel.sendToQueue(queue, Buffer.from("with an id"), { messageId: "m1" });
  there.channel.sendToQueue(queue, Buffer.from("without"));
  await waitFor("both", () => host.waiting === 2);
  await source.stop();
  host.holding = false;
  await startSource(t, host, { url: broker.url, queue });
  await waitFor("both again", () => host.appended.length === 2);
  assert.deepEqual(host.appended.map(({ id }) => id).sort(), ["m1", null].sort());
  for (const { headers } of host.appended) assert.equal(headerValue(headers, "amqp-redelivered"), "true");
});

test("a queue that is declared, with its exchange and binding, is a quorum queue; a second declaration changes nothing", async (t) => {
  const there = await outside(t, broker.url);
  const name = `leat-test-${randomUUID()}`;
  there.undo(() => there.channel.deleteExchange(name));
  there.undo(() => there.channel.deleteQueue(name));
  const declare = {
    bindings: [{ exchange: name, routing_key: "job.#", exchange_type: "topic" }],
    arguments: { "x-max-length": 1000 },
  };
  for (const key of ["job.a", "job.b.c"]) {
    const host = new BrokerHost();
    const source = await startSource(t, host, { url: broker.url, queue: name, declare });
    await waitFor("a connection", () => host.standing?.state === "connected");
    there.channel.publish(name, key, Buffer.from("x"));
    await waitFor("the event", () => host.appended.length === 1);
    assert.equal(host.appended[0]?.subject, key);
    await source.stop();
  }
  // The broker says so: a classic one of that name can't be declared.
  const other = await there.model.createChannel();
  other.on("error", () => {});
  await assert.rejects(other.assertQueue(name, { arguments: { "x-queue-type": "classic" } }), /PRECONDITION/);
  const host = new BrokerHost();
  await startSource(t, host, { url: broker.url, queue: name, declare: { type: "classic" } });
  await waitFor("the refusal", () => host.waits.includes("precondition"));
});

test("a queue that isn't there is waited for, with the remedy, and consumed once it is there", async (t) => {
  const there = await outside(t, broker.url);
  const queue = `leat-test-${randomUUID()}`;
  const host = new BrokerHost();
  const source = await startSource(t, host, { url: broker.url, queue });
  await waitFor("the word", () => host.waits.includes("unknown_queue"));
  assert.equal(source.lag(), null);
  const standing = host.standing;
  assert.match(
    standing?.state === "waiting" ? standing.message : "",
    /create it, mend the name, or have it declared/,
  );
  await there.channel.assertQueue(queue);
  there.undo(() => there.channel.deleteQueue(queue));
  there.channel.sendToQueue(queue, Buffer.from("x"));
  await waitFor("the event", () => host.appended.length === 1, 20_000);
  assert.deepEqual(host.waits, ["unknown_queue"]);
  assert.equal(host.standing?.state, "connected");
});

test("an exchange to bind to that isn't there is waited for, with the remedy", async (t) => {
  const there = await outside(t, broker.url);
  const name = `leat-test-${randomUUID()}`;
  there.undo(() => there.channel.deleteQueue(name));
  const host = new BrokerHost();
  await startSource(t, host, { url: broker.url, queue: name, declare: { bindings: [{ exchange: name }] } });
  await waitFor("the word", () => host.waits.includes("unknown_exchange"));
});

test("a queue deleted under the consumer: one that is declared comes back at once, one that isn't is waited for", async (t) => {
  const there = await outside(t, broker.url);
  const [declared, queue] = [await ownQueue(there), await ownQueue(there)];
  const [one, other] = [new BrokerHost(), new BrokerHost()];
  await startSource(t, one, { url: broker.url, queue: declared, declare: { type: "classic" } });
  await startSource(t, other, { url: broker.url, queue });
  for (const name of [declared, queue]) {
    await waitFor("a consumer", async () => (await consumers(there, name)) === 1);
    await there.channel.deleteQueue(name);
  }
  await waitFor("the declared one", async () => {
    const look = await there.model.createChannel();
    look.on("error", () => {});
    const { consumerCount } = await look.checkQueue(declared);
    await look.close();
    return consumerCount === 1;
  });
  there.channel.sendToQueue(declared, Buffer.from("x"));
  await waitFor("an event", () => one.appended.length === 1);
  assert.deepEqual(one.waits, ["cancelled"]);
  await waitFor("the other's word", () => other.waits.includes("unknown_queue"));
  await there.channel.assertQueue(queue);
  there.channel.sendToQueue(queue, Buffer.from("x"));
  await waitFor("an event of the other", () => other.appended.length === 1, 20_000);
});

test("a message over the limit is kept as refused and gone past", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.maxEventBytes = 1000;
  await startSource(t, host, { url: broker.url, queue });
  there.channel.sendToQueue(queue, Buffer.alloc(2000, 0x41), { messageId: "big" });
  there.channel.sendToQueue(queue, Buffer.from("small"));
  await waitFor("the one behind it", () => host.appended.length === 1);
  const [refusal] = host.refusals;
  assert.equal(refusal?.reason, "too_large");
  assert.equal(refusal?.address, `a message of queue '${queue}' with id big`);
  await waitFor("both acknowledged", async () => (await ready(there, queue)) === 0);
});

test("with `oversize: hold` what is before it is acknowledged, the rest waits in the queue, and nobody consumes", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.maxEventBytes = 1000;
  const source = await startSource(t, host, { url: broker.url, queue, oversize: "hold" });
  await waitFor("a connection", () => host.standing?.state === "connected");
  for (const size of [10, 20, 2000, 30]) there.channel.sendToQueue(queue, Buffer.alloc(size, 0x41));
  await waitFor("the consumer to go", async () => (await consumers(there, queue)) === 0);
  await waitFor("two to be back", async () => (await ready(there, queue)) === 2);
  assert.deepEqual(
    host.appended.map(({ body }) => body.byteLength),
    [10, 20],
  );
  assert.deepEqual(host.refusals, []);
  assert.deepEqual(host.waits, ["oversize"]);
  assert.equal(host.standing?.state, "waiting");
  await source.stop();
});

test("`oversize: hold` at a limit that only the journal knows: all others are acknowledged, and nothing comes twice", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  const append = host.append.bind(host);
  host.append = async (arrival) => {
    if (arrival.id !== "long") return append(arrival);
    // As late as an expression that names the key: those behind it are on their way by then.
    await waitFor("what is behind it", () => host.appended.length === 3);
    throw new LeatError("refused", "key_too_long", "the key is over 1024 bytes");
  };
  for (const messageId of ["a", "long", "b", "c"])
    there.channel.sendToQueue(queue, Buffer.from("x"), { messageId });
  await there.channel.waitForConfirms();
  const source = await startSource(t, host, { url: broker.url, queue, oversize: "hold" });
  await waitFor("the consumer to go", async () => {
    return host.waits.includes("oversize") && (await consumers(there, queue)) === 0;
  });
  await waitFor("one to be back", async () => (await ready(there, queue)) === 1);
  assert.deepEqual(
    host.appended.map(({ id }) => id),
    ["a", "b", "c"],
  );
  assert.deepEqual([host.waits, host.refusals], [["oversize"], []]);
  assert.equal(host.standing?.state, "waiting");
  await source.stop();
  const held = await there.channel.get(queue);
  assert.equal(held ? held.properties.messageId : null, "long");
});

test("`oversize: hold` when the first message that waits in the queue is too large: that it is held stays said", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.maxEventBytes = 1;
  there.channel.sendToQueue(queue, Buffer.from("large"));
  await there.channel.waitForConfirms();
  const source = await startSource(t, host, { url: broker.url, queue, oversize: "hold" });
  await waitFor("the word", () => host.waits.includes("oversize"));
  await waitFor("it to be back", async () => (await ready(there, queue)) === 1);
  assert.equal(host.standing?.state === "waiting" && host.standing.error, "oversize");
  await source.stop();
});

test("a journal that takes nothing for a minute: the messages go back, and are consumed once it takes again", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.failure = new LeatError("unavailable", "journal_full", "full", { retryAfterMs: 100 });
  await startSource(t, host, { url: broker.url, queue });
  await waitFor("a connection", () => host.standing?.state === "connected");
  for (let n = 0; n < 5; n++) there.channel.sendToQueue(queue, Buffer.from(`${n}`), { messageId: `m${n}` });
  await there.channel.waitForConfirms();
  await waitFor("all in hand", async () => (await ready(there, queue)) === 0);
  host.state = { open: false, reason: "full", retryAfterMs: 100 };
  host.ahead = 61_000;
  await waitFor("the consumer to go", async () => (await consumers(there, queue)) === 0);
  await waitFor("all to be back", async () => (await ready(there, queue)) === 5);
  assert.deepEqual(new Set(host.waits), new Set(["journal"]));
  host.failure = null;
  host.state = { open: true };
  await waitFor("all events", () => host.appended.length === 5);
  await waitFor("all acknowledged", async () => (await ready(there, queue)) === 0);
  assert.equal(host.standing?.state, "connected");
});

test("large bodies: fewer are taken at once, and memory stays within its bound", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.maxEventBytes = 2 ** 24;
  for (let n = 0; n < 60; n++) {
    there.channel.sendToQueue(queue, Buffer.alloc(3 * 2 ** 20, n), { messageId: `m${n}` });
  }
  await there.channel.waitForConfirms();
  host.holding = true;
  const source = await startSource(t, host, { url: broker.url, queue });
  const most = await waitFor("the bound", () => host.waiting === 22 && host.waiting);
  assert.ok(most * 3 <= 66);
  host.holding = false;
  host.commit();
  // Those on their way when the bound was reached came twice to the consumer, and once to the journal.
  await waitFor("all events", () => host.appended.length === 60, 30_000);
  assert.equal(new Set(host.appended.map(({ id }) => id)).size, 60);
  assert.deepEqual(host.waits, []);
  await source.stop();
  assert.equal(await ready(there, queue), 0);
});

test("its lag is what waits in the queue and what is in hand", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  host.holding = true;
  for (let n = 0; n < 30; n++) there.channel.sendToQueue(queue, Buffer.from(`${n}`));
  await there.channel.waitForConfirms();
  const source = await startSource(t, host, { url: broker.url, queue, prefetch: 10 });
  await waitFor("the lag", () => source.lag() === 30);
  host.holding = false;
  host.commit();
  await waitFor("no lag", () => source.lag() === 0);
});

test("an empty body, no routing key, no properties", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const exchange = `leat-test-${randomUUID()}`;
  await there.channel.assertExchange(exchange, "fanout");
  there.undo(() => there.channel.deleteExchange(exchange));
  await there.channel.bindQueue(queue, exchange, "");
  const host = new BrokerHost();
  await startSource(t, host, { url: broker.url, queue });
  there.channel.publish(exchange, "", Buffer.alloc(0));
  const [event] = await waitFor("the event", () => host.appended.length === 1 && host.appended);
  assert.ok(event);
  const { id, type, subject, body } = event;
  assert.deepEqual([id, type, subject, body.byteLength], [null, null, null, 0]);
  assert.deepEqual(
    unpackHeaders(event.headers).map(([name]) => name),
    ["amqp-exchange"],
  );
});
