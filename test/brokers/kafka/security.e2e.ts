/** Logins, certificates and permissions, each with what a person is told when they are wrong. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import kafkajs from "kafkajs";
import { waitFor } from "../../wait-for.ts";
import { type KafkaBroker, type KafkaSecurity, startKafka } from "../kafka.ts";
import { cluster, deliver, KafkaHost, reading, writing } from "./kit.ts";

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;

let broker: KafkaBroker;
let secure: KafkaSecurity;
const kafka = cluster(async () => {
  broker = await startKafka({ secure: true });
  assert.ok(broker.secure);
  secure = broker.secure;
  return broker;
});

const LEAT = { user: "leat", password: "secret" };
const TYPES = ["plain", "scram-sha-256", "scram-sha-512"] as const;

for (const type of TYPES) {
  test(`logs in with ${type}, to read and to write`, async (t) => {
    const topic = await kafka.topic();
    const connection = { brokers: secure.sasl, sasl: { type, ...LEAT } };
    const sink = await writing(t, { ...connection, topic });
    assert.deepEqual(await deliver(sink), { result: "delivered" });
    const host = new KafkaHost();
    await reading(t, host, { ...connection, topics: [topic] });
    await host.events(1);
  });
}

test("a wrong password is said, to the source and to the sink, and tried again at a calm pace", async (t) => {
  for (const type of TYPES) {
    const connection = { brokers: secure.sasl, sasl: { type, user: "leat", password: "wrong" } };
    const host = new KafkaHost();
    await reading(t, host, { ...connection, topics: ["t"] });
    await waitFor("the standing", () => host.standing?.state === "waiting");
    assert.ok(host.standing?.state === "waiting");
    assert.equal(host.standing.error, "auth");
    assert.match(host.standing.message, /check sasl: type, user and password/);
    assert.doesNotMatch(host.standing.message, /wrong/);
    const sink = await writing(t, { ...connection, topic: "t" });
    await waitFor("the sink's", () => sink.standings.at(-1)?.state === "waiting");
    const again = host.kept.lines.find(({ message }) => message === "will try to connect again");
    assert.ok(Number(Reflect.get(again?.fields ?? {}, "ms")) >= 2_500);
  }
});

const pem = (file: string) => readFileSync(file, "utf8");

test("speaks TLS with a certificate of its own, and with a password over TLS", async (t) => {
  const { ca, client } = secure.certificates;
  const topic = await kafka.topic();
  const mutual = { brokers: secure.tls, tls: { ca: pem(ca), cert: pem(client.cert), key: pem(client.key) } };
  const sink = await writing(t, { ...mutual, topic });
  assert.deepEqual(await deliver(sink), { result: "delivered" });
  const host = new KafkaHost();
  const sasl = { type: "scram-sha-512", ...LEAT };
  await reading(t, host, { brokers: secure.saslTls, tls: { ca: pem(ca) }, sasl, topics: [topic] });
  await host.events(1);
});

test("a server that the system doesn't trust, no certificate where one is wanted, and a plain port are said", async (t) => {
  const { ca } = secure.certificates;
  const errors = async (config: object) => {
    const host = new KafkaHost();
    await reading(t, host, { ...config, topics: ["t"] });
    await waitFor("the standing", () => host.standing?.state === "waiting", 20_000);
    assert.ok(host.standing?.state === "waiting");
    return host.standing;
  };
  assert.equal((await errors({ brokers: secure.tls, tls: true })).error, "tls");
  assert.match(
    (await errors({ brokers: secure.tls, tls: { ca: pem(ca) } })).error,
    /^(tls|reset|closed|timeout)$/,
  );
  assert.match((await errors({ brokers: broker.bootstrap, tls: { ca: pem(ca) } })).error, /^(tls|reset)$/);
  assert.match((await errors({ brokers: secure.tls })).message, /tls/);
});

test("missing permissions are said with how to give them, and the sink goes on once they are given", async (t) => {
  const topic = await kafka.topic();
  const connection = {
    brokers: secure.sasl,
    sasl: { type: "plain", user: "limited", password: "secret" },
  };
  const standingOf = async () => {
    const host = new KafkaHost();
    await reading(t, host, { ...connection, topics: [topic] });
    await waitFor("the standing", () => host.standing?.state === "waiting", 30_000);
    assert.ok(host.standing?.state === "waiting");
    assert.equal(host.standing.error, "forbidden");
    return host.standing.message;
  };
  assert.match(await standingOf(), /may not use the topic: .*kafka-acls\.sh --add/);
  const sink = await writing(t, { ...connection, topic });
  const report = await deliver(sink);
  assert.equal(report.result === "failed" && report.error, "forbidden");

  await allow("limited", AclResourceTypes.TOPIC, topic);
  await waitFor("the sink", async () => (await deliver(sink)).result === "delivered", 30_000);
  assert.match(await standingOf(), /may not use the consumer group: .*--group/);
});

async function allow(user: string, resourceType: number, resourceName: string): Promise<void> {
  await kafka.admin.createAcls({
    acl: [
      {
        resourceType,
        resourceName,
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: `User:${user}`,
        host: "*",
        operation: AclOperationTypes.ALL,
        permissionType: AclPermissionTypes.ALLOW,
      },
    ],
  });
}
