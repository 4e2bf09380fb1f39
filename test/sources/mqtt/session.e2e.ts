/** What outlives the process: the session at the broker, and what the source knows of it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startMosquitto } from "../../brokers/mosquitto.ts";
import { type SharedBroker, sharedMqtt } from "../../brokers/shared.ts";
import { waitFor } from "../../wait-for.ts";
import { MqttHost, makeSource, newPrefix, publisher, startSource } from "./rig.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedMqtt();
});
after(() => broker.close());

/** The host of a process that comes after another's. */
function successor(host: MqttHost): MqttHost {
  const next = new MqttHost();
  next.written = host.written;
  return next;
}

for (const version of [5, "3.1.1"] as const) {
  test(`${version}: a filter that was taken out of the configuration is unsubscribed at the next start`, async (t) => {
    const prefix = newPrefix();
    const fields = { url: broker.url, version, client_id: `filters-${prefix}` };
    const first = await startSource(t, { ...fields, topics: ["a", "gone/#", "b/+"] }, { prefix });
    await first.source.stop();
    const client = await publisher(t, broker.url);
    await client.publishAsync(`${prefix}/gone/1`, "came while it was still wanted", { qos: 1 });

    const host = successor(first.host);
    await startSource(t, { ...fields, topics: ["a", "c"] }, { prefix, host });
    await waitFor("what waited", () => host.bodies.length === 1);
    for (const topic of ["gone/2", "b/1", "a", "c"]) {
      await client.publishAsync(`${prefix}/${topic}`, topic, { qos: 1 });
    }
    await waitFor("the last", () => host.bodies.includes("c"));
    assert.deepEqual(host.bodies, ["came while it was still wanted", "a", "c"]);
    assert.deepEqual(JSON.parse(host.written ?? "").filters, [`${prefix}/a`, `${prefix}/c`]);
  });

  test(`${version}: a restart brings no retained message a second time`, async (t) => {
    const prefix = newPrefix();
    const fields = { url: broker.url, version, client_id: `kept-${prefix}` };
    const client = await publisher(t, broker.url);
    await client.publishAsync(`${prefix}/a`, "kept", { qos: 1, retain: true });
    const first = await startSource(t, fields, { prefix });
    await waitFor("the retained one", () => first.host.bodies.length === 1);
    await first.source.stop();
    const host = successor(first.host);
    await startSource(t, fields, { prefix, host });
    await client.publishAsync(`${prefix}/b`, "new", { qos: 1 });
    await waitFor("the new one", () => host.bodies.length > 0);
    assert.deepEqual(host.bodies, ["new"]);
    await client.publishAsync(`${prefix}/a`, "", { qos: 1, retain: true });
  });
}

test("a session that the broker forgot while Leat was away is told of", async (t) => {
  const forgetful = await startMosquitto({ conf: "persistence false" });
  t.after(forgetful.close);
  const prefix = newPrefix();
  const fields = { url: forgetful.url, client_id: "forgotten" };
  const first = await startSource(t, fields, { prefix });
  assert.deepEqual(first.host.words, ["connected"]);
  await first.source.stop();
  await forgetful.stop();
  await forgetful.start();
  const host = successor(first.host);
  await startSource(t, fields, { prefix, host });
  assert.deepEqual(host.words, ["session_lost", "connected"]);
  await waitFor("the loss to be kept", () => host.refusals.length === 1);
  assert.deepEqual(
    host.refusals.map(({ reason, address }) => [reason, address]),
    [["session_lost", `mqtt 127.0.0.1:${forgetful.port}`]],
  );
});

test("another broker, or another client id, is another session: nothing of it is lost", async (t) => {
  const prefix = newPrefix();
  const first = await startSource(t, { url: broker.url, client_id: `one-${prefix}` }, { prefix });
  await first.source.stop();
  const host = successor(first.host);
  await startSource(t, { url: broker.url, client_id: `two-${prefix}` }, { prefix, host });
  assert.deepEqual(host.words, ["connected"]);
});

test("without client_id the session is named after the source and the journal", async (t) => {
  const prefix = newPrefix();
  const { host, source } = makeSource({ url: broker.url, topics: `${prefix}/#`, client_id: undefined });
  await source.start();
  t.after(() => source.stop());
  await waitFor("the source to be connected", () => host.connected);
  assert.equal(JSON.parse(host.written ?? "").session, `${broker.url} leat-hook-5eed`);
});

test("what can't be read of an earlier note is nothing", async (t) => {
  for (const written of ["", "{", "null", "[]", '{"session":1,"filters":"x"}']) {
    const host = new MqttHost();
    host.written = written;
    const { source } = await startSource(t, { url: broker.url }, { host });
    assert.deepEqual(host.words, ["connected"]);
    await source.stop();
  }
});
