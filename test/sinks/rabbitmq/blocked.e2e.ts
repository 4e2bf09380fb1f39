import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { frame, shortText } from "../../brokers/rabbitmq/frames.ts";
import { outside, ownQueue, startSink } from "../../brokers/rabbitmq/kit.ts";
import { type SharedBroker, sharedRabbitmq } from "../../brokers/shared.ts";
import { waitFor } from "../../wait-for.ts";

let broker: SharedBroker;
before(async () => {
  broker = await sharedRabbitmq();
});
after(() => broker.close());

/** What lets a test speak to the broker's clients as if it were the broker. */
async function startInterpreter(t: TestContext): Promise<{ port: number; say(bytes: Buffer): void }> {
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(broker.port, "127.0.0.1");
    clients.add(client);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { port, say: (bytes) => clients.forEach((client) => void client.write(bytes)) };
}

test("a broker that says twice that it takes nothing, and once that it does again, is published to again", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const { port, say } = await startInterpreter(t);
  const sink = await startSink(t, { url: `amqp://guest:guest@127.0.0.1:${port}` });
  assert.deepEqual(await sink.deliver({ routing_key: queue }), { result: "delivered" });
  const blocked = () => sink.standings.filter((one) => one.state === "waiting" && one.error === "blocked");
  for (const [n, why] of ["low on memory", "low on disk"].entries()) {
    say(frame(1, 0, Buffer.concat([Buffer.from([0, 10, 0, 60]), shortText(why)])));
    await waitFor(why, () => blocked().length === n + 1);
  }
  say(frame(1, 0, Buffer.from([0, 10, 0, 61])));
  assert.deepEqual(await sink.deliver({ routing_key: queue }, {}, 5_000), { result: "delivered" });
  assert.deepEqual(sink.standings.at(-1), { state: "connected" });
});
