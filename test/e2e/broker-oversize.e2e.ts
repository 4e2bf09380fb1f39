import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { kafkaFamily } from "../faults/brokers/kafka-place.ts";
import { mqttFamily } from "../faults/brokers/mqtt-place.ts";
import { rabbitmqFamily } from "../faults/brokers/rabbitmq-place.ts";
import { waitFor } from "../wait-for.ts";
import { makeDaemon, makeReceiver } from "./daemon.ts";

interface Told {
  readonly source: string;
  readonly reason: string;
  readonly address: string;
  readonly data: string;
}

for (const { name, open } of [kafkaFamily, mqttFamily, rabbitmqFamily]) {
  test(`${name}: a message over the limit is kept as refused and told of, and holds up nothing; with \`oversize: hold\` it stops the source until the limit is raised`, async (t) => {
    const place = await open();
    t.after(place.close);
    const receiver = await makeReceiver();
    t.after(receiver.close);
    const yaml = (limit: string, oversize: string) => `
limits: { broker_event: ${limit} }
sources: { in: ${place.source("in").replace(/ }$/, `, oversize: ${oversize} }`)} }
sinks: { out: { type: webhook, url: "${receiver.url}/", path: "/{{ source }}" } }
routes: { all: { from: [in, leat], to: out } }
`;
    const daemon = await makeDaemon(yaml("100B", "refuse"));
    t.after(daemon.close);
    await daemon.start();
    const ask = async (path: string) =>
      (await (await fetch(`${daemon.admin}/api/${path}`)).json()) as Record<
        string,
        Record<string, unknown>[]
      >;
    const standing = async () => (await ask("sources")).sources?.[0]?.broker as Record<string, unknown>;
    const reload = async () => {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${daemon.admin}/api/reload`, { method: "POST", headers, body: "{}" });
      assert.equal(answer.status, 200, await answer.text());
    };
    const from = (source: string) => receiver.received.filter(({ path }) => path === `/${source}`);
    const ids = () => from("in").map(({ body }) => (JSON.parse(body) as { id: string }).id);
    const connected = () =>
      waitFor("the broker", async () => (await standing()).state === "connected", 60_000);
    await connected();

    const [large, next] = ["x".repeat(200), randomUUID()];
    await place.send(large);
    await place.send(next);
    await waitFor("the one behind it", () => ids().includes(next), 30_000);
    const told = await waitFor("leat.refused", () =>
      from("leat")
        .map(({ body }) => JSON.parse(body) as Told)
        .find(({ reason }) => reason === "too_large"),
    );
    assert.equal(told.source, "in");
    assert.ok(told.address.length > 0, "where it was at the broker");
    assert.match(told.data, /^\{"id":"x{200}"\}$/);
    // It is written beside the events, not with them.
    const refusal = await waitFor("the refusal", async () => (await ask("refusals")).refusals?.[0]);
    assert.deepEqual([refusal.reason, refusal.bytes], ["too_large", told.data.length]);

    daemon.writeConfig(yaml("100B", "hold"));
    await reload();
    await connected();
    const [held, behind] = ["y".repeat(200), randomUUID()];
    await place.send(held);
    await place.send(behind);
    await waitFor("the source to stand still", async () => (await standing()).error === "oversize", 30_000);
    const { degraded } = (await (await fetch(`${daemon.admin}/readyz`)).json()) as {
      degraded: { part: string; reason: string }[];
    };
    assert.match(degraded.find(({ part }) => part === "source in")?.reason ?? "", /over a limit/);
    daemon.writeConfig(yaml("1MiB", "hold"));
    await reload();
    await waitFor(
      "what was held, and what came behind it",
      () => ids().includes(held) && ids().includes(behind),
      60_000,
    );
    await connected();
    assert.equal(ids().includes(large), false);
  });
}
