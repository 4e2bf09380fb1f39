/** What we lean on in the MQTT library, beyond what it promises: each is looked at anew when its version changes. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import mqtt, { type IPublishPacket, type MqttClient } from "mqtt";
import { acknowledge, openConnection } from "../../../src/brokers/mqtt/client.ts";
import { mqttConnection } from "../../../src/brokers/mqtt/connection.ts";
import { systemClock } from "../../../src/ports.ts";
import { waitFor } from "../../wait-for.ts";
import { startProxy } from "../proxy.ts";
import { type SharedBroker, sharedMqtt } from "../shared.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedMqtt();
});
after(() => broker.close());

const packageJson = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")) as {
    version: string;
    dependencies: Record<string, string>;
  };

async function client(
  t: { after(end: () => void): void },
  options: mqtt.IClientOptions,
  url = broker.url,
): Promise<MqttClient> {
  const made = mqtt.connect(url, { reconnectPeriod: 0, resubscribe: false, queueQoSZero: false, ...options });
  made.on("error", () => {});
  t.after(() => {
    made.end(true);
  });
  await new Promise<void>((resolve) => made.once("connect", () => resolve()));
  return made;
}

test("the version is pinned, and it is the one that is installed", () => {
  const wanted = packageJson("package.json").dependencies.mqtt;
  assert.equal(wanted, "5.16.0");
  assert.equal(packageJson("node_modules/mqtt/package.json").version, wanted);
});

for (const protocolVersion of [4, 5] as const) {
  const session = () => ({
    protocolVersion,
    clientId: randomUUID(),
    clean: false,
    ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 60, receiveMaximum: 100 } } : {}),
  });

  test(`v${protocolVersion}: handleMessage with an error sends no PUBACK and goes on; what we write ourselves later is one`, async (t) => {
    const topic = `l/${randomUUID()}`;
    const options = session();
    const first = await client(t, options);
    const got: IPublishPacket[] = [];
    const sent: string[] = [];
    first.handleMessage = (packet, next) => {
      got.push(packet);
      next(new Error("later"));
    };
    first.on("packetsend", ({ cmd }) => sent.push(cmd));
    await first.subscribeAsync(topic, { qos: 1 });
    const sender = await client(t, { protocolVersion: 5 });
    for (const body of ["1", "2", "3"]) await sender.publishAsync(topic, body, { qos: 1 });
    await waitFor("all three, though none is acknowledged", () => got.length === 3);
    assert.ok(!sent.includes("puback"));
    acknowledge(
      first,
      got.slice(0, 2).map(({ messageId }) => messageId ?? 0),
    );
    await first.endAsync();

    // The broker has what it was told, and only that.
    const again = mqtt.connect(broker.url, { ...options, reconnectPeriod: 0, resubscribe: false });
    t.after(() => {
      again.end(true);
    });
    const repeated: string[] = [];
    again.handleMessage = ({ payload, dup }, next) => {
      repeated.push(`${payload} ${dup}`);
      next();
    };
    await waitFor("the third again", () => repeated.length > 0);
    await sender.publishAsync(topic, "4", { qos: 1 });
    await waitFor("the fourth", () => repeated.length > 1);
    assert.deepEqual(repeated, ["3 true", "4 false"]);
  });

  test(`v${protocolVersion}: as long as a packet isn't gone on from, no other is handed out`, async (t) => {
    const topic = `l/${randomUUID()}`;
    const reader = await client(t, session());
    const got: string[] = [];
    let goOn = () => {};
    reader.handleMessage = ({ payload }, next) => {
      got.push(String(payload));
      goOn = () => next();
    };
    await reader.subscribeAsync(topic, { qos: 1 });
    const sender = await client(t, { protocolVersion: 5 });
    for (const body of ["1", "2"]) await sender.publishAsync(topic, body, { qos: 1 });
    await waitFor("the first", () => got.length === 1);
    // An answer that comes behind a message is held back with it.
    let answered = false;
    reader.publish(topic, "3", { qos: 1 }, () => (answered = true));
    await sender.publishAsync(topic, "4", { qos: 1 });
    assert.deepEqual([got, answered], [["1"], false]);
    await waitFor("the others", () => {
      goOn();
      return got.length === 4 && answered;
    });
  });
}

test("without a connection no acknowledgement is kept for the next, where the same id is another message", async (t) => {
  const proxy = await startProxy(broker.port);
  t.after(proxy.close);
  const lost = await client(t, { protocolVersion: 5 }, `mqtt://127.0.0.1:${proxy.port}`);
  proxy.cut();
  await waitFor("the loss", () => !lost.connected);
  acknowledge(lost, [7]);
  assert.equal(lost.queue.length, 0);
  const ended = await client(t, { protocolVersion: 5 });
  await ended.endAsync();
  acknowledge(ended, [7]);
});

test("with reconnectPeriod 0 a client doesn't connect again, and what was unconfirmed is told when it is ended", async (t) => {
  const proxy = await startProxy(broker.port);
  t.after(proxy.close);
  const lost = await client(t, { protocolVersion: 5 }, `mqtt://127.0.0.1:${proxy.port}`);
  proxy.hold();
  const told = new Promise<string>((resolve) => {
    lost.publish("l/x", "x", { qos: 1 }, (error) => resolve(error?.message ?? "confirmed"));
  });
  proxy.cut();
  await waitFor("the loss", () => !lost.connected);
  lost.end(true);
  assert.equal(await told, "Connection closed");
  assert.equal(proxy.connections(), 1);
});

for (const version of [5, "3.1.1"] as const) {
  test(`${version}: a plain message is read before the library, one with properties by it, in their order`, async (t) => {
    const topic = `l/${randomUUID()}`;
    const got: string[] = [];
    const config = mqttConnection.schema.parse({ url: broker.url, version });
    const options = { clientId: randomUUID(), sessionSeconds: 0, clock: systemClock };
    const { client: reader, close } = await openConnection(
      config,
      {
        ...options,
        onMessage(_client, { payload }, next) {
          got.push(String(payload));
          next(new Error("never acknowledged"));
        },
      },
      new AbortController().signal,
    );
    t.after(close);
    const byLibrary: string[] = [];
    reader.on("packetreceive", (packet) => {
      if (packet.cmd === "publish") byLibrary.push(String(packet.payload));
    });
    await reader.subscribeAsync(topic, { qos: 1 });
    const sender = await client(t, { protocolVersion: 5 });
    const properties = { userProperties: { a: "b" } };
    await sender.publishAsync(topic, "1", { qos: 1 });
    await sender.publishAsync(topic, "2", { qos: 1, properties });
    await sender.publishAsync(topic, "3", { qos: 0 });
    await waitFor("all three", () => got.length === 3);
    assert.deepEqual(got, ["1", "2", "3"]);
    assert.deepEqual(byLibrary, version === 5 ? ["2"] : []);
  });
}
