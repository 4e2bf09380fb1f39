/** What we lean on in amqplib beyond its documentation: to be read before its version is changed. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, before, test } from "node:test";
import { connect, IllegalOperationError } from "amqplib";
import { waitFor } from "../../wait-for.ts";
import { type SharedBroker, sharedRabbitmq } from "../shared.ts";
import { outside, ownQueue } from "./kit.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedRabbitmq();
});
after(() => broker.close());

/** `signal` isn't among the options that its types know: it goes through to net.connect. */
const socketOptions = (signal: AbortSignal) => Object.assign({ noDelay: true }, { signal });

test("a signal among the socket's options destroys it, during the handshake and later", async (t) => {
  const mute = createServer((socket) => socket.on("error", () => {}));
  mute.listen(0, "127.0.0.1");
  await once(mute, "listening");
  t.after(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  const handshake = new AbortController();
  const connecting = connect(`amqp://127.0.0.1:${port}`, socketOptions(handshake.signal));
  await once(mute, "connection");
  handshake.abort();
  await assert.rejects(connecting, { code: "ABORT_ERR" });

  const later = new AbortController();
  const model = await connect(broker.url, socketOptions(later.signal));
  const told: string[] = [];
  model.on("error", () => told.push("error"));
  model.on("close", () => told.push("close"));
  later.abort();
  await waitFor("the end", () => told.length === 2);
  assert.deepEqual(told, ["error", "close"]);
});

test("a return comes before the confirm of its message, and the confirm says yes", async (t) => {
  const { channel } = await outside(t, broker.url);
  const told: string[] = [];
  channel.on("return", ({ properties }) => told.push(`return ${properties.headers?.n}`));
  for (let n = 0; n < 3; n++) {
    const options = { mandatory: true, headers: { n } };
    channel.publish("", "nobody-has-this-queue", Buffer.from("x"), options, (error: unknown) => {
      told.push(`confirm ${n} ${error}`);
    });
  }
  await waitFor("all", () => told.length === 6);
  for (let n = 0; n < 3; n++) {
    assert.ok(told.indexOf(`return ${n}`) < told.indexOf(`confirm ${n} null`), told.join());
  }
});

test("a channel that the broker closes tells the error, then its end, and only then its confirms", async (t) => {
  const { model } = await outside(t, broker.url);
  const channel = await model.createConfirmChannel();
  const told: string[] = [];
  channel.on("error", (error) => told.push(`error ${"code" in error && error.code}`));
  channel.prependListener("close", () => told.push("close"));
  channel.publish("there-is-no-such-exchange", "", Buffer.from("x"), {}, (error: unknown) => {
    told.push(error === null ? "yes" : "no");
  });
  await waitFor("all", () => told.length === 3);
  assert.deepEqual(told, ["error 404", "close", "no"]);
  assert.throws(() => channel.publish("", "", Buffer.from("x")), { name: "IllegalOperationError" });
});

test("an acknowledgement on a channel that has ended throws; the messages are back in the queue", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const channel = await there.model.createChannel();
  there.channel.sendToQueue(queue, Buffer.from("x"));
  await there.channel.waitForConfirms();
  const message = await channel.get(queue);
  assert.ok(message);
  await channel.close();
  assert.throws(() => channel.ack(message), IllegalOperationError);
  await waitFor("the message", async () => (await there.channel.checkQueue(queue)).messageCount === 1);
});

test("the goodbye of a channel comes after its acknowledgements, a connection's would come before them", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  for (let n = 0; n < 20; n++) there.channel.sendToQueue(queue, Buffer.from("x"));
  await there.channel.waitForConfirms();
  const model = await connect(broker.url);
  const channel = await model.createChannel();
  for (let n = 0; n < 20; n++) {
    const message = await channel.get(queue);
    assert.ok(message);
    channel.ack(message);
  }
  await channel.close();
  await model.close();
  assert.equal((await there.channel.checkQueue(queue)).messageCount, 0);
});
