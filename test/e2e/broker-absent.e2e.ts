import assert from "node:assert/strict";
import { test } from "node:test";
import { kafkaFamily } from "../faults/brokers/kafka-place.ts";
import { mqttFamily } from "../faults/brokers/mqtt-place.ts";
import { rabbitmqFamily } from "../faults/brokers/rabbitmq-place.ts";
import { waitFor } from "../wait-for.ts";
import { makeDaemon, makeReceiver } from "./daemon.ts";

test("brokers that aren't there at the start: Leat starts and says who waits, all else flows, and once they come they flow too", async (t) => {
  const families = [kafkaFamily, mqttFamily, rabbitmqFamily];
  const places = await Promise.all(families.map(async ({ name, open }) => ({ name, place: await open() })));
  t.after(() => Promise.all(places.map(({ place }) => place.close())));
  await Promise.all(places.map(({ place }) => place.broker.stop()));

  const receiver = await makeReceiver();
  t.after(receiver.close);
  const names = places.map(({ name }) => name);
  const daemon = await makeDaemon(`
sources:
  web: { type: webhook, path: /web, verify: { type: none } }
${places.map(({ name, place }) => `  ${name}: ${place.source("in")}`).join("\n")}
sinks:
  hook: { type: webhook, url: "${receiver.url}/" }
${places.map(({ name, place }) => `  to-${name}: ${place.sink("out")}`).join("\n")}
routes:
  all: { from: [web, ${names.join(", ")}], to: hook }
${names.map((name) => `  ${name}: { from: web, to: { sink: to-${name}, retry: { initial: 200ms, max_wait: 1s } } }`).join("\n")}
`);
  t.after(daemon.close);
  await daemon.start();

  const waiting = async () => {
    const answer = await fetch(`${daemon.admin}/readyz`);
    assert.equal(answer.status, 200);
    const { degraded } = (await answer.json()) as { degraded: { part: string; reason: string }[] };
    return degraded
      .filter(({ reason }) => /^waits for its broker: .{10}/.test(reason))
      .map(({ part }) => part);
  };
  const expected = names.flatMap((name) => [`source ${name}`, `sink to-${name}`]).sort();
  await waitFor("readiness to name them all", async () => {
    return JSON.stringify((await waiting()).sort()) === JSON.stringify(expected);
  });

  const posted = await fetch(`${daemon.url}/web`, { method: "POST", body: JSON.stringify({ id: "web" }) });
  assert.equal(posted.status, 200);
  const got = () => {
    const ids = receiver.received.map(({ body }) => (JSON.parse(body) as { id: string }).id);
    return [...new Set(ids)].sort();
  };
  await waitFor("what came by webhook", () => got().includes("web"));

  await Promise.all(places.map(({ place }) => place.broker.start()));
  await waitFor("nobody to wait any more", async () => (await waiting()).length === 0, 60_000);
  // The outside sender too finds out only by trying that its connection is gone.
  const sent = ({ name, place }: (typeof places)[number]) =>
    waitFor("a yes", () => place.send(name).then(() => true), 30_000);
  await Promise.all(places.map(sent));
  await waitFor("what came by the brokers", () => got().length === 4, 30_000);
  assert.deepEqual(got(), [...names, "web"].sort());
  for (const { name, place } of places) {
    const came = () => place.read.some(({ id }) => id === "web");
    await waitFor(`what waited for ${name}`, came, 60_000);
  }
});

test("a sink that has its broker again waits for no probe of its breaker", async (t) => {
  const place = await mqttFamily.open();
  t.after(() => place.close());
  await place.broker.stop();
  const daemon = await makeDaemon(`
sources:
  web: { type: webhook, path: /web, verify: { type: none } }
sinks:
  out: ${place.sink("out").replace(/ }$/, ", timeout: 1s, breaker: { failures: 1, probe: 1h, max: 1h } }")}
routes:
  all: { from: web, to: { sink: out, retry: { initial: 200ms, max_wait: 1s } } }
`);
  t.after(daemon.close);
  await daemon.start();
  const posted = await fetch(`${daemon.url}/web`, { method: "POST", body: JSON.stringify({ id: "web" }) });
  assert.equal(posted.status, 200);
  await waitFor("the breaker to open", async () => {
    return (await (await fetch(`${daemon.admin}/readyz`)).text()).includes("breaker");
  });
  await place.broker.start();
  await waitFor("the delivery", () => place.read.some(({ id }) => id === "web"), 20_000);
});
