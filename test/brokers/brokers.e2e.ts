/** The brokers of the tests themselves: what the other tests lean on. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import amqp from "amqplib";
import { Kafka, logLevel, type SASLOptions } from "kafkajs";
import mqtt from "mqtt";
import { startKafka } from "./kafka.ts";
import { startMosquitto } from "./mosquitto.ts";
import { listens } from "./port.ts";
import { startRabbitmq } from "./rabbitmq.ts";

test("Kafka: SASL and TLS as promised; it keeps what it has over a stop, and leaves nothing behind", async (t) => {
  const kafka = await startKafka({ secure: true });
  t.after(kafka.close);
  const { secure } = kafka;
  assert.ok(secure !== null);
  const topics = async (broker: string, more: object) => {
    const client = new Kafka({
      brokers: [broker],
      logLevel: logLevel.NOTHING,
      retry: { retries: 5 },
      ...more,
    });
    const admin = client.admin();
    await admin.connect();
    try {
      return await admin.listTopics();
    } finally {
      await admin.disconnect();
    }
  };
  const admin = new Kafka({ brokers: [kafka.bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.createTopics({ topics: [{ topic: "kept" }] });
  await admin.disconnect();
  const ca = readFileSync(secure.certificates.ca);
  const { client } = secure.certificates;
  const tls = { ca, cert: readFileSync(client.cert), key: readFileSync(client.key) };
  assert.ok((await topics(secure.tls, { ssl: tls })).includes("kept"));
  await assert.rejects(() => topics(secure.tls, { ssl: { ca }, retry: { retries: 0 } }));
  for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
    // kafkajs keeps the first credentials within the object that it is given: each client needs one of its own.
    const sasl = (username: string, password = "secret") =>
      ({ mechanism, username, password }) as SASLOptions;
    assert.ok((await topics(secure.sasl, { sasl: sasl("leat") })).includes("kept"), mechanism);
    assert.ok(
      (await topics(secure.saslTls, { sasl: sasl("leat"), ssl: { ca } })).includes("kept"),
      mechanism,
    );
    assert.deepEqual(await topics(secure.sasl, { sasl: sasl("limited") }), [], mechanism);
    await assert.rejects(() => topics(secure.sasl, { sasl: sasl("leat", "wrong"), retry: { retries: 0 } }));
  }
  await kafka.stop();
  assert.equal(await listens(kafka.port), false);
  await kafka.start();
  assert.ok((await topics(kafka.bootstrap, {})).includes("kept"));
  await kafka.close();
  assert.equal(existsSync(kafka.folder), false);
});

test("Mosquitto: passwords, permissions and TLS as promised; it keeps a session's queue over a stop", async (t) => {
  const mosquitto = await startMosquitto({ secure: true });
  t.after(mosquitto.close);
  const once = { reconnectPeriod: 0 };
  const ca = readFileSync(mosquitto.certificates?.ca ?? "");
  const user = { username: "leat", password: "secret" };
  for (const [url, more] of [
    [mosquitto.passwordUrl, user],
    [mosquitto.secureUrl, { ...user, ca }],
  ] as const) {
    const client = await mqtt.connectAsync(url, { ...once, ...more });
    await client.endAsync();
    await assert.rejects(() => mqtt.connectAsync(url, { ...once, ...more, password: "wrong" }));
  }
  const limited = await mqtt.connectAsync(mosquitto.passwordUrl, {
    ...once,
    username: "limited",
    password: "secret",
    protocolVersion: 5,
  });
  await assert.rejects(() => limited.publishAsync("allowed/x", "", { qos: 1 }), { code: 0x87 });
  await limited.endAsync();

  const session = { ...once, clientId: "reader", clean: false };
  const reader = await mqtt.connectAsync(mosquitto.url, session);
  await reader.subscribeAsync("kept", { qos: 1 });
  await reader.endAsync();
  const writer = await mqtt.connectAsync(mosquitto.url, once);
  await writer.publishAsync("kept", "over a stop", { qos: 1 });
  await writer.endAsync();
  await mosquitto.stop();
  assert.equal(await listens(mosquitto.port), false);
  await mosquitto.start();
  const again = mqtt.connect(mosquitto.url, session);
  const payload = await new Promise((resolve) => again.once("message", (_, body) => resolve(`${body}`)));
  assert.equal(payload, "over a stop");
  await again.endAsync();
});

test("RabbitMQ: users, permissions and TLS as promised; it keeps a queue over a kill", async (t) => {
  const rabbitmq = await startRabbitmq({ secure: true });
  t.after(rabbitmq.close);
  const open = async (url: string, options = {}) => {
    const connection = await amqp.connect(url, options);
    connection.on("error", () => {});
    return connection;
  };
  const secured = await open(rabbitmq.secureUrl, { ca: readFileSync(rabbitmq.certificates?.ca ?? "") });
  await secured.close();
  await assert.rejects(() => open(rabbitmq.url.replace("guest:guest", "leat:wrong")), /ACCESS_REFUSED|403/);
  const limited = await open(rabbitmq.url.replace("guest:guest", "limited:secret"));
  const refused = await limited.createChannel();
  refused.on("error", () => {});
  await assert.rejects(() => refused.assertQueue("allowed.x"), { code: 403 });
  await limited.close();

  // RabbitMQ writes down a moment later that a queue is there: one that was declared just before a kill doesn't come back.
  const queue = { durable: true, arguments: { "x-queue-type": "quorum" } };
  const first = await open(rabbitmq.url);
  await (await first.createChannel()).assertQueue("kept", queue);
  await first.close();
  await rabbitmq.stop();
  await rabbitmq.start();
  const connection = await open(rabbitmq.url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("kept", queue);
  channel.sendToQueue("kept", Buffer.from("over a kill"), { persistent: true });
  await channel.waitForConfirms();
  assert.match(await rabbitmq.ctl("list_queues", "name"), /kept/);
  await rabbitmq.kill();
  assert.equal(await listens(rabbitmq.port), false);
  await rabbitmq.start();
  const after = await open(rabbitmq.url);
  const reader = await after.createChannel();
  const kept = await new Promise((resolve, reject) => {
    reader.consume("kept", (message) => resolve(`${message?.content}`)).catch(reject);
  });
  assert.equal(kept, "over a kill");
  await after.close();
});
