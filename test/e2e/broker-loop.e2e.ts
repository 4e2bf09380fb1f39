import assert from "node:assert/strict";
import { test } from "node:test";
import { kafkaFamily } from "../faults/brokers/kafka-place.ts";
import { mqttFamily } from "../faults/brokers/mqtt-place.ts";
import { rabbitmqFamily } from "../faults/brokers/rabbitmq-place.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { makeDaemon } from "./daemon.ts";

for (const family of [kafkaFamily, mqttFamily, rabbitmqFamily]) {
  test(`${family.name}: an event that two Leats send round in a circle stops at the hop limit, and is dead there`, async (t) => {
    const place = await family.open();
    t.after(place.close);
    const daemon = (source: string, sink: string) =>
      makeDaemon(`
sources: { in: ${source} }
sinks: { out: ${sink} }
routes: { all: { from: in, to: out } }
`);
    // Where an event keeps its id on its way, the first Leat would drop it as a duplicate after one round.
    const forgets = ", dedupe: off";
    const [there, back] = [
      await daemon(place.source("there", forgets), place.sink("back")),
      await daemon(place.source("back", forgets), place.sink("there")),
    ];
    t.after(() => Promise.all([there.close(), back.close()]));
    await Promise.all([there.start(), back.start()]);
    const value = async (admin: string, metric: string, label = "") => {
      const { samples } = await scrapeMetrics(admin);
      const found = samples.filter(
        ({ name, labels }) => name === metric && (!label || labels.outcome === label),
      );
      return found.reduce((sum, { value }) => sum + value, 0);
    };
    for (const { admin } of [there, back]) {
      const connected = async () => (await value(admin, "leat_source_connected")) === 1;
      await waitFor("the source to have its broker", connected, 60_000);
    }

    await place.send("round", "there");
    const outcomes = async (outcome: string) =>
      (await value(there.admin, "leat_settled_total", outcome)) +
      (await value(back.admin, "leat_settled_total", outcome));
    await waitFor("the event to be dead", async () => (await outcomes("dead")) > 0, 60_000);
    assert.equal(await outcomes("dead"), 1);
    // Hops 0 to 8 are delivered; the one with 9 is dead.
    assert.equal(await outcomes("delivered"), 9);
    const answers = await Promise.all(
      [there, back].map(async ({ admin }) => (await fetch(`${admin}/api/dead`)).text()),
    );
    assert.match(answers.join(), /hops/);
  });
}
