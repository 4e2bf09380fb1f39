import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Standing } from "../../../src/component.ts";
import { startMosquitto } from "../../brokers/mosquitto.ts";
import { brokerPort } from "../../brokers/port.ts";
import { startProxy } from "../../brokers/proxy.ts";
import { waitFor } from "../../wait-for.ts";
import { headersOf, makeSource, newPrefix, publisher, startSource } from "./rig.ts";

/** The source's first standing that isn't `connected`; it is stopped when the test ends. */
async function firstComplaint(
  t: { after(end: () => Promise<void>): void },
  fields: Record<string, unknown>,
): Promise<Standing & { state: "waiting" }> {
  const { host, source } = makeSource(fields);
  await source.start();
  t.after(() => source.stop());
  return waitFor("a complaint", () =>
    host.standings.find(
      (standing): standing is Standing & { state: "waiting" } => standing.state === "waiting",
    ),
  );
}

test("with no broker there it says so, and is connected once there is one", async (t) => {
  const port = await brokerPort();
  const url = `mqtt://127.0.0.1:${port}`;
  const { host, source } = makeSource({ url, topics: "#" });
  await source.start();
  t.after(() => source.stop());
  await waitFor("a complaint", () => host.words.includes("connection_refused"));
  const broker = await startMosquitto();
  t.after(broker.close);
  const proxy = await startProxy(broker.port, { port });
  t.after(proxy.close);
  await waitFor("the source to be connected", () => host.connected);
});

test("a wrong password and a wrong certificate are told with the remedy, and none of the secrets", async (t) => {
  const broker = await startMosquitto({ secure: true });
  t.after(broker.close);
  const { passwordUrl, secureUrl, certificates } = broker;
  const ca = readFileSync(certificates!.ca, "utf8");
  const leat = { username: "leat", password: "secret", topics: "denied/#" };
  for (const version of [5, "3.1.1"]) {
    const password = await firstComplaint(t, { ...leat, version, url: passwordUrl, password: "wrong" });
    assert.equal(password.error, "auth");
    assert.match(password.message, /check username: and password:/);
    assert.doesNotMatch(password.message, /wrong|secret/);

    const unknown = await firstComplaint(t, { ...leat, version, url: secureUrl });
    assert.equal(unknown.error, "tls");

    const plain = await firstComplaint(t, {
      ...leat,
      version,
      url: secureUrl.replace("localhost", "127.0.0.1"),
      tls: { ca, servername: "elsewhere.example.com" },
    });
    assert.equal(plain.error, "tls");

    const { prefix, host } = await startSource(t, {
      ...leat,
      version,
      url: secureUrl,
      tls: { ca },
      topics: ["#"],
    });
    const client = await publisher(t, passwordUrl, { username: "leat", password: "secret" });
    await client.publishAsync(`${prefix}/a`, "over TLS", { qos: 1 });
    await waitFor("the message", () => host.bodies.includes("over TLS"));
  }
});

test("a subscription that the broker denies is told with the filter and the remedy", async (t) => {
  const [plugin] = globSync("/usr/lib/*/mosquitto_dynamic_security.so");
  assert.ok(plugin, "Debian's mosquitto has it");
  const folder = mkdtempSync(join(tmpdir(), "leat-mqtt-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const rules = join(folder, "rules.json");
  const defaultACLAccess = {
    publishClientSend: true,
    publishClientReceive: true,
    subscribe: false,
    unsubscribe: true,
  };
  writeFileSync(rules, JSON.stringify({ defaultACLAccess, clients: [], groups: [], roles: [] }));
  const port = await brokerPort();
  const broker = await startMosquitto({
    conf: `listener ${port} 127.0.0.1\nallow_anonymous true\nplugin ${plugin}\nplugin_opt_config_file ${rules}`,
  });
  t.after(broker.close);
  for (const version of [5, "3.1.1"]) {
    const fields = { url: `mqtt://127.0.0.1:${port}`, version, topics: ["denied/#", "too/+"] };
    const { error, message } = await firstComplaint(t, fields);
    assert.equal(error, "subscription_denied");
    assert.match(message, /denied\/#, too\/\+ .*topics:/);
  }
});

test("a broker that is killed and started again: what it kept arrives, and the source is connected again", async (t) => {
  const broker = await startMosquitto({ conf: "autosave_interval 1\nautosave_on_changes true" });
  t.after(broker.close);
  const { host, prefix } = await startSource(t, { url: broker.url });
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "1", { qos: 1 });
  await waitFor("the first", () => host.bodies.length === 1);
  await broker.kill();
  await waitFor("the loss", () => !host.connected);
  await broker.start();
  await waitFor("the source to be connected again", () => host.connected);
  await waitFor("the publisher to be back", () => client.connected);
  await client.publishAsync(`${prefix}/a`, "2", { qos: 1 });
  await waitFor("the second", () => host.bodies.includes("2"));
});

test("a broker that forgot the session: what was lost can't be told, so that it was lost is", async (t) => {
  const broker = await startMosquitto({ conf: "persistence false" });
  t.after(broker.close);
  const { host, prefix } = await startSource(t, { url: broker.url });
  await broker.stop();
  await waitFor("the loss", () => !host.connected);
  await broker.start();
  await waitFor("the source to be connected again", () => host.connected);
  assert.deepEqual(host.words.slice(-2), ["session_lost", "connected"]);
  await waitFor("the loss to be kept", () => host.refusals.some(({ reason }) => reason === "session_lost"));
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "1", { qos: 1 });
  await waitFor("the message", () => host.bodies.length === 1);
});

for (const version of [5, "3.1.1"] as const) {
  test(`${version}: a cut connection: what was on its way comes again, marked, and retained messages don't`, async (t) => {
    const broker = await startMosquitto();
    t.after(broker.close);
    const proxy = await startProxy(broker.port);
    t.after(proxy.close);
    const client = await publisher(t, broker.url);
    const prefix = newPrefix();
    await client.publishAsync(`${prefix}/kept`, "retained", { qos: 1, retain: true });
    const { host } = await startSource(t, { url: `mqtt://127.0.0.1:${proxy.port}`, version }, { prefix });
    await waitFor("the retained one", () => host.bodies.length === 1);
    host.holding = true;
    await client.publishAsync(`${prefix}/a`, "1", { qos: 1 });
    await waitFor("an append under way", () => host.waiting === 1);
    proxy.cut();
    await waitFor("the loss", () => !host.connected);
    host.holding = false;
    host.commit();
    await waitFor("the source to be connected again", () => host.connected);
    await client.publishAsync(`${prefix}/a`, "2", { qos: 1 });
    await waitFor("the last", () => host.bodies.includes("2"));
    // It was appended, and its acknowledgement belonged to a connection that is gone.
    assert.deepEqual(host.bodies, ["retained", "1", "1", "2"]);
    assert.deepEqual(headersOf(host.appended[2]!), [["mqtt-dup", "true"]]);
  });
}

test("a broker that stands still is given up after one and a half keepalives, and found again", async (t) => {
  const broker = await startMosquitto();
  t.after(broker.close);
  const { host, prefix } = await startSource(t, { url: broker.url, keepalive: "1s" });
  broker.freeze();
  await waitFor("the loss", () => !host.connected);
  broker.thaw();
  await waitFor("the source to be connected again", () => host.connected, 20_000);
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "1", { qos: 1 });
  await waitFor("the message", () => host.bodies.includes("1"));
});

test("another client with our client id throws the source out, and it comes back", async (t) => {
  const broker = await startMosquitto();
  t.after(broker.close);
  const clientId = randomUUID();
  const { host } = await startSource(t, { url: broker.url, client_id: clientId });
  await publisher(t, broker.url, { clientId, reconnectPeriod: 0 });
  await waitFor("the loss", () => !host.connected);
  await waitFor("the source to be connected again", () => host.connected);
});

test("over a WebSocket it is the same", async (t) => {
  const port = await brokerPort();
  const broker = await startMosquitto({
    conf: `listener ${port} 127.0.0.1\nprotocol websockets\nallow_anonymous true`,
  });
  t.after(broker.close);
  const { host, prefix } = await startSource(t, { url: `ws://127.0.0.1:${port}/mqtt` });
  const client = await publisher(t, broker.url);
  for (const body of ["1", "2"]) await client.publishAsync(`${prefix}/a`, body, { qos: 1 });
  await waitFor("both", () => host.bodies.length === 2);
  await broker.stop();
  await waitFor("the loss", () => !host.connected);
  await broker.start();
  await waitFor("the source to be connected again", () => host.connected);
});
