import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { unpackHeaders } from "../../../src/event.ts";
import { BrokerHost, outside, ownQueue, startSource } from "../../brokers/rabbitmq/kit.ts";
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
