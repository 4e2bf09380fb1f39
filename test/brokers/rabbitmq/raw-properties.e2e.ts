/** Headers that a broker passes on and amqplib can't read, or not as they are. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { headerValue, unpackHeaders } from "../../../src/event.ts";
import { waitFor } from "../../wait-for.ts";
import { type SharedBroker, sharedRabbitmq } from "../shared.ts";
import { field, longText, nested, properties, publishRaw, table } from "./frames.ts";
import { BrokerHost, outside, ownQueue, startSource } from "./kit.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedRabbitmq();
});
after(() => broker.close());

const bytesOf = (headers: Uint8Array, name: string) =>
  unpackHeaders(headers).find(([own]) => own === name)?.[1];

test("a header that amqplib can't read ends no connection: the message is taken with all its bytes", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  await startSource(t, host, { url: broker.url, queue });
  await waitFor("a connection", () => host.standing?.state === "connected");
  const large = field("ulong", "L", Buffer.alloc(8, 0xff));
  const hops = field("leat-hops", "S", longText(Buffer.from("3")));
  const body = Buffer.alloc(100_000, 7);
  publishRaw(there.model, there.channel, queue, properties("unsigned", table(large, hops)), body);
  publishRaw(there.model, there.channel, queue, properties("deep", nested(20_000)), Buffer.from("x"));
  there.channel.sendToQueue(queue, Buffer.from("after"), { messageId: "after" });
  await waitFor("all three", () => host.appended.length === 3);
  const [unsigned, deep] = host.appended;
  assert.ok(unsigned && deep);
  assert.deepEqual(
    host.appended.map(({ id }) => id),
    ["unsigned", "deep", "after"],
  );
  assert.equal(headerValue(unsigned.headers, "ulong"), "18446744073709551615");
  assert.equal(unsigned.hops, 3);
  assert.deepEqual(Buffer.from(unsigned.body), body);
  assert.deepEqual(host.standings, [{ state: "connected" }]);
});

test("a header, a message id and a type that aren't UTF-8 stay what they are, and large numbers keep their digits", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  await startSource(t, host, { url: broker.url, queue });
  const raw = Buffer.from([0x41, 0xff, 0xfe]);
  const exact = Buffer.alloc(8);
  exact.writeBigInt64BE(2n ** 53n + 1n);
  const headers = table(field("raw", "S", longText(raw)), field("n", "l", exact));
  for (const id of [Buffer.from([0xff]), Buffer.from([0xfe])]) {
    publishRaw(there.model, there.channel, queue, properties(id, headers), Buffer.from("x"));
  }
  await waitFor("both", () => host.appended.length === 2);
  assert.deepEqual(
    host.appended.map(({ id }) => id),
    ["hex:ff", "hex:fe"],
  );
  const [event] = host.appended;
  assert.ok(event);
  assert.deepEqual(Buffer.from(bytesOf(event.headers, "raw") ?? []), raw);
  assert.equal(headerValue(event.headers, "n"), "9007199254740993");
  assert.deepEqual(Buffer.from(bytesOf(event.headers, "amqp-message-id") ?? []), Buffer.from([0xff]));
});
