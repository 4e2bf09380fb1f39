import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LeatError } from "../../../src/errors.ts";
import { type SharedBroker, sharedMqtt } from "../../brokers/shared.ts";
import { waitFor } from "../../wait-for.ts";
import { headersOf, MqttHost, makeSource, newPrefix, publisher, startSource } from "./rig.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedMqtt();
});
after(() => broker.close());

const versions = [5, "3.1.1"] as const;

for (const version of versions) {
  test(`${version}: a message is appended with its topic as subject and key, and its bytes untouched`, async (t) => {
    const { host, prefix } = await startSource(t, { url: broker.url, version, topics: ["+/temperature"] });
    const client = await publisher(t, broker.url);
    const body = Buffer.from([0, 255, 128, 10]);
    await client.publishAsync(`${prefix}/kitchen/temperature`, body, { qos: 1 });
    await client.publishAsync(`${prefix}/kitchen/humidity`, "no", { qos: 1 });
    await client.publishAsync(`${prefix}/attic/temperature`, "", { qos: 0 });
    await waitFor("two messages", () => host.appended.length === 2);
    const [first, second] = host.appended;
    assert.deepEqual(
      {
        ...first,
        body: Buffer.from(first!.body),
        headers: headersOf(first!),
        address: undefined,
        seq: undefined,
      },
      {
        id: null,
        type: null,
        key: `${prefix}/kitchen/temperature`,
        subject: `${prefix}/kitchen/temperature`,
        headers: [],
        body,
        hops: 0,
        address: undefined,
        seq: undefined,
      },
    );
    assert.equal(second?.body.byteLength, 0);
    assert.equal(second?.subject, `${prefix}/attic/temperature`);
  });

  test(`${version}: what comes while the source is away arrives when it is back, once`, async (t) => {
    const prefix = newPrefix();
    const fields = { url: broker.url, version, client_id: `away-${prefix}` };
    const first = await startSource(t, fields, { prefix });
    const client = await publisher(t, broker.url);
    await client.publishAsync(`${prefix}/a`, "1", { qos: 1 });
    await waitFor("the first", () => first.host.bodies.length === 1);
    await first.source.stop();
    for (const body of ["2", "3", "4"]) await client.publishAsync(`${prefix}/a`, body, { qos: 1 });
    const second = await startSource(t, fields, { prefix });
    await waitFor("the others", () => second.host.bodies.length === 3);
    await second.source.stop();
    const third = await startSource(t, fields, { prefix });
    await client.publishAsync(`${prefix}/a`, "5", { qos: 1 });
    await waitFor("the last", () => third.host.bodies.length > 0);
    assert.deepEqual(
      [first, second, third].map(({ host }) => host.bodies),
      [["1"], ["2", "3", "4"], ["5"]],
    );
  });

  test(`${version}: nothing is acknowledged before it is on disk, and then in the order it came`, async (t) => {
    const prefix = newPrefix();
    const host = new MqttHost();
    host.holding = true;
    const fields = { url: broker.url, version, client_id: `held-${prefix}` };
    const { source } = await startSource(t, fields, { prefix, host });
    const client = await publisher(t, broker.url);
    for (const body of ["1", "2", "3"]) await client.publishAsync(`${prefix}/a`, body, { qos: 1 });
    await waitFor("three appends under way", () => host.waiting === 3);
    // Dies without its appends: as if the process had been killed.
    host.failure = new Error("killed");
    host.commit();
    await source.stop();
    const again = await startSource(t, fields, { prefix });
    await waitFor("all three again", () => again.host.bodies.length === 3);
    assert.deepEqual(again.host.bodies, ["1", "2", "3"]);
    assert.deepEqual(again.host.appended.map(headersOf), Array(3).fill([["mqtt-dup", "true"]]));
  });

  test(`${version}: a stop waits for what is being appended, and acknowledges it`, async (t) => {
    const prefix = newPrefix();
    const host = new MqttHost();
    host.holding = true;
    const fields = { url: broker.url, version, client_id: `stop-${prefix}` };
    const { source } = await startSource(t, fields, { prefix, host });
    const client = await publisher(t, broker.url);
    for (const body of ["1", "2"]) await client.publishAsync(`${prefix}/a`, body, { qos: 1 });
    await waitFor("two appends under way", () => host.waiting === 2);
    const stopped = source.stop();
    host.commit();
    await stopped;
    assert.deepEqual(host.bodies, ["1", "2"]);
    await client.publishAsync(`${prefix}/a`, "3", { qos: 1 });
    const again = await startSource(t, fields, { prefix });
    await waitFor("the third", () => again.host.bodies.length > 0);
    assert.deepEqual(again.host.bodies, ["3"]);
  });

  test(`${version}: no more than receive_maximum are on their way, and the rest comes when there is room`, async (t) => {
    const host = new MqttHost();
    host.holding = true;
    const { prefix } = await startSource(
      t,
      // 1 s: the pings, which are ours while nothing is read, keep the connection alive.
      { url: broker.url, version, receive_maximum: 5, keepalive: "1s" },
      { host },
    );
    const client = await publisher(t, broker.url);
    const bodies = Array.from({ length: 40 }, (_, n) => String(n));
    await Promise.all(bodies.map((body) => client.publishAsync(`${prefix}/a`, body, { qos: 1 })));
    await waitFor("five appends under way", () => host.waiting === 5);
    const since = performance.now();
    await waitFor("three times the keepalive to pass", () => performance.now() - since > 3_000);
    assert.equal(host.waiting, 5);
    host.holding = false;
    host.commit();
    await waitFor("all", () => host.bodies.length === 40);
    assert.deepEqual(host.bodies, bodies);
    assert.deepEqual(host.words, ["connected"]);
  });

  test(`${version}: what the broker has retained is marked`, async (t) => {
    const prefix = newPrefix();
    const client = await publisher(t, broker.url);
    await client.publishAsync(`${prefix}/a`, "kept", { qos: 1, retain: true });
    const { host } = await startSource(t, { url: broker.url, version }, { prefix });
    await waitFor("the retained one", () => host.bodies.length === 1);
    assert.deepEqual(headersOf(host.appended[0]!), [["mqtt-retain", "true"]]);
    await client.publishAsync(`${prefix}/a`, "new", { qos: 1, retain: true });
    await waitFor("the new one", () => host.bodies.length === 2);
    assert.deepEqual(headersOf(host.appended[1]!), []);
    await client.publishAsync(`${prefix}/a`, "", { qos: 1, retain: true });
  });
}

test("user properties become headers, type the event's type, and leat-hops is counted on from", async (t) => {
  const { host, prefix } = await startSource(t, { url: broker.url });
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, '{"a":1}', {
    qos: 1,
    properties: {
      contentType: "application/json",
      responseTopic: "answers/7",
      correlationData: Buffer.from([1, 2]),
      userProperties: {
        type: "sensor.read",
        "leat-hops": "3",
        many: ["1", "2"],
        größe: "groß",
        ["__proto__"]: "kept",
        "mqtt-retain": "forged",
      },
    },
  });
  await waitFor("the message", () => host.appended.length === 1);
  const [event] = host.appended;
  assert.equal(event?.type, "sensor.read");
  assert.equal(event?.hops, 3);
  assert.deepEqual(headersOf(event!), [
    ["content-type", "application/json"],
    ["type", "sensor.read"],
    ["leat-hops", "3"],
    ["many", "1"],
    ["many", "2"],
    ["gr%C3%B6%C3%9Fe", "groß"],
    ["__proto__", "kept"],
    ["mqtt-response-topic", "answers/7"],
    ["mqtt-correlation-data", "\u0001\u0002"],
  ]);
});

test("two sources of one shared subscription share the messages, and each comes once", async (t) => {
  const prefix = newPrefix();
  const shared = async () => {
    const host = new MqttHost();
    const topics = [`$share/group-${prefix.slice(2)}/${prefix}/#`];
    const { source } = makeSource({ url: broker.url, topics }, host);
    await source.start();
    t.after(() => source.stop());
    await waitFor("the source to be connected", () => host.connected);
    return host;
  };
  const hosts = [await shared(), await shared()];
  const client = await publisher(t, broker.url);
  const bodies = Array.from({ length: 50 }, (_, n) => String(n));
  await Promise.all(bodies.map((body) => client.publishAsync(`${prefix}/a`, body, { qos: 1 })));
  await waitFor("all", () => hosts.flatMap((host) => host.bodies).length === 50);
  const got = hosts.flatMap((host) => host.bodies);
  assert.deepEqual(got.toSorted(), bodies.toSorted());
  assert.ok(hosts.every((host) => host.bodies.length > 0));
});

test("QoS 2 is served as QoS 1: a publisher at QoS 2 and a subscription at qos: 2 come through", async (t) => {
  const { host, prefix } = await startSource(t, { url: broker.url, qos: 2 });
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "exactly once, up to the broker", { qos: 2 });
  await waitFor("the message", () => host.bodies.length === 1);
});

test("QoS 0 comes without acknowledgements", async (t) => {
  const { host, prefix } = await startSource(t, { url: broker.url, qos: 0 });
  const client = await publisher(t, broker.url);
  for (let n = 0; n < 20; n++) await client.publishAsync(`${prefix}/a`, String(n), { qos: 1 });
  await waitFor("all", () => host.bodies.length === 20);
});

test("a message over the limit is kept as refused and acknowledged; the next one comes", async (t) => {
  const host = new MqttHost();
  host.maxEventBytes = 10;
  const { prefix } = await startSource(t, { url: broker.url }, { host });
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "x".repeat(5_000), { qos: 1 });
  await client.publishAsync(`${prefix}/a`, "small", { qos: 1 });
  await waitFor("the small one", () => host.bodies.length === 1);
  await waitFor("the refusal", () => host.refusals.length === 1);
  const [refusal] = host.refusals;
  assert.equal(refusal?.reason, "too_large");
  assert.equal(refusal?.address, `${prefix}/a`);
  assert.equal(refusal?.body?.byteLength, 1024);
});

test("oversize: hold stops at a message over the limit, says so, and takes nothing behind it", async (t) => {
  const prefix = newPrefix();
  const host = new MqttHost();
  host.maxEventBytes = 10;
  const fields = { url: broker.url, oversize: "hold", client_id: `hold-${prefix}` };
  const { source } = await startSource(t, fields, { host, prefix });
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "before", { qos: 1 });
  await client.publishAsync(`${prefix}/a`, "x".repeat(11), { qos: 1 });
  await client.publishAsync(`${prefix}/a`, "behind", { qos: 1 });
  await waitFor("it to say so", () => host.words.includes("oversize"));
  assert.deepEqual(host.bodies, ["before"]);
  await source.stop();
  const again = await startSource(t, fields, { prefix });
  await waitFor("both", () => again.host.bodies.length === 2);
  assert.deepEqual(again.host.bodies, ["x".repeat(11), "behind"]);
});

test("oversize: hold stops at a message whose headers are over a limit, too", async (t) => {
  const prefix = newPrefix();
  const host = new MqttHost();
  const append = host.append.bind(host);
  host.append = async (arrival) => {
    if (arrival.body.toString() === "key")
      throw new LeatError("refused", "key_too_long", "The key is too long.");
    return append(arrival);
  };
  const fields = { url: broker.url, oversize: "hold", client_id: `hold-key-${prefix}` };
  await startSource(t, fields, { host, prefix });
  const client = await publisher(t, broker.url);
  await client.publishAsync(`${prefix}/a`, "key", { qos: 1 });
  await waitFor("it to say so", () => host.words.includes("oversize"));
  const seen: string[] = [];
  client.on("message", (_topic, payload) => seen.push(payload.toString()));
  await client.subscribeAsync(`${prefix}/#`, { qos: 1 });
  for (let n = 0; n < 20; n++) await client.publishAsync(`${prefix}/a`, String(n), { qos: 1 });
  await waitFor("the broker to have given out all of them", () => seen.length === 20);
  // One may be on its way when the reading stops.
  assert.ok(host.bodies.length <= 1, `${host.bodies}`);
});

test("a source that takes another's place with its session waits for it, and nothing comes twice", async (t) => {
  const prefix = newPrefix();
  const fields = { url: broker.url, client_id: `reload-${prefix}` };
  const before = await startSource(t, fields, { prefix });
  const client = await publisher(t, broker.url);
  const next = makeSource({ ...fields, topics: [`${prefix}/#`] });
  await next.source.start();
  t.after(() => next.source.stop());
  await client.publishAsync(`${prefix}/a`, "1", { qos: 1 });
  await waitFor("the first", () => before.host.bodies.length === 1);
  await before.source.stop();
  await waitFor("the next to be connected", () => next.host.connected);
  await client.publishAsync(`${prefix}/a`, "2", { qos: 1 });
  await waitFor("the second", () => next.host.bodies.length === 1);
  assert.deepEqual([before.host.words, next.host.words], [["connected"], ["connected"]]);
  assert.deepEqual([before.host.bodies, next.host.bodies], [["1"], ["2"]]);
});
