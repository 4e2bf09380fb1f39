/** What a person has to mend at a broker, and what a broker does to its clients. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { waitFor } from "../../wait-for.ts";
import { startProxy } from "../proxy.ts";
import { type Rabbitmq, startRabbitmq } from "../rabbitmq.ts";
import { BrokerHost, outside, ownQueue, startSink, startSource } from "./kit.ts";

let broker: Rabbitmq;
before(async () => {
  broker = await startRabbitmq({ secure: true, conf: "max_message_size = 1000000" });
});
after(() => broker.close());

/** The source's first wait, and what it says to do. */
async function wait(host: BrokerHost): Promise<[error: string, message: string]> {
  return waitFor("a word", () => {
    const first = host.standings.find((one) => one.state === "waiting");
    return first?.state === "waiting" && [first.error, first.message];
  });
}

const TLS = () => {
  const { certificates } = broker;
  assert.ok(certificates);
  return certificates;
};

test("a wrong password, a virtual host that isn't there and a missing permission each say what to do", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const at = `amqp://127.0.0.1:${broker.port}`;
  const cases = [
    [{ url: at, username: "leat", password: "wrong" }, "auth", /username or password is wrong/],
    [{ url: at, username: "nobody" }, "auth", /username or password is wrong/],
    [{ url: `${at}/nowhere` }, "vhost", /rabbitmqctl list_vhosts/],
    [{ url: at, vhost: "no where%2F" }, "vhost", /rabbitmqctl list_vhosts/],
    [{ url: at, username: "limited", password: "secret" }, "forbidden", /rabbitmqctl set_permissions/],
    [{ url: at, username: "limited", password: "secret", declare: {} }, "forbidden", /declare queue/],
  ] as const;
  await Promise.all(
    cases.map(async ([config, error, message]) => {
      const host = new BrokerHost();
      const source = await startSource(t, host, { ...config, queue });
      const [word, remedy] = await wait(host);
      assert.equal(word, error);
      assert.match(remedy, message);
      assert.doesNotMatch(remedy, /wrong"|secret/);
      await source.stop();
    }),
  );
});

test("a sink that may not write says so for each event, and is connected all the same", async (t) => {
  const url = `amqp://limited:secret@127.0.0.1:${broker.port}`;
  const sink = await startSink(t, { url });
  const reports = await Promise.all(
    Array.from({ length: 5 }, () => sink.deliver({ exchange: "amq.topic", routing_key: "a" })),
  );
  for (const report of reports) assert.equal(report.result === "failed" && report.error, "forbidden");
  assert.deepEqual(sink.standings, [{ state: "connected" }]);
});

test("a sink with a wrong password fails each delivery with that reason at its time-out", async (t) => {
  const sink = await startSink(t, { url: `amqp://leat:wrong@127.0.0.1:${broker.port}` });
  await waitFor("its word", () => sink.standings.length > 0);
  const report = await sink.deliver({ routing_key: "q" }, {}, 300);
  assert.equal(report.result === "failed" && report.error, "auth");
});

test("an event over the broker's own limit is dead at once, and those beside it are delivered in the end", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const sink = await startSink(t, { url: broker.url });
  const small = { body: Buffer.alloc(900_000, 1) };
  const all = [small, small, { body: Buffer.alloc(1_000_001, 2) }, small, { body: Buffer.alloc(1_100_000) }];
  const reports = await Promise.all(all.map((over) => sink.deliver({ routing_key: queue }, over)));
  const errors = reports.map((report) => (report.result === "delivered" ? "" : report.error));
  assert.equal(errors[4], "too_large");
  const again = await Promise.all(all.slice(0, 4).map((over) => sink.deliver({ routing_key: queue }, over)));
  assert.equal(again[2]?.result, "rejected");
  assert.match(again[2]?.result === "rejected" ? again[2].message : "", /max size/);
  for (const one of await Promise.all(
    all.slice(0, 2).map((over) => sink.deliver({ routing_key: queue }, over)),
  )) {
    assert.deepEqual(one, { result: "delivered" });
  }
});

test("amqps: the broker's certificate is checked against the given issuer and name", async (t) => {
  const { ca } = TLS();
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const config = { url: broker.secureUrl, queue };
  const good = new BrokerHost();
  await startSource(t, good, { ...config, tls: { ca: readFileSync(ca, "utf8") } });
  await waitFor("a connection", () => good.standing?.state === "connected");
  const cases = [
    [{}, /issuer|self-signed/],
    [{ tls: { ca: readFileSync(ca, "utf8"), servername: "other.example" } }, /another name/],
  ] as const;
  for (const [tls, message] of cases) {
    const host = new BrokerHost();
    const source = await startSource(t, host, { ...config, ...tls });
    const [word, remedy] = await wait(host);
    assert.equal(word, "tls");
    assert.match(remedy, message);
    await source.stop();
  }
  const plain = new BrokerHost();
  await startSource(t, plain, { url: `amqps://127.0.0.1:${broker.port}`, queue });
  assert.equal((await wait(plain))[0], "tls");
});

test("what isn't RabbitMQ, what answers nothing, and what isn't there", async (t) => {
  const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const http = new BrokerHost();
  await startSource(t, http, { url: `amqp://127.0.0.1:${address.port}`, queue: "q" });
  assert.equal((await wait(http))[0], "protocol");
  const nobody = new BrokerHost();
  await startSource(t, nobody, { url: "amqp://127.0.0.1:1", queue: "q" });
  assert.equal((await wait(nobody))[0], "connection_refused");
  const nameless = new BrokerHost();
  await startSource(t, nameless, { url: "amqp://nowhere.invalid", queue: "q" });
  assert.equal((await wait(nameless))[0], "dns");
});

test("a stop doesn't wait for a broker that answers nothing, neither at the handshake nor later", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const proxy = await startProxy(broker.port);
  t.after(() => proxy.close());
  const url = `amqp://guest:guest@127.0.0.1:${proxy.port}`;
  const host = new BrokerHost();
  const open = await startSource(t, host, { url, queue });
  await waitFor("a connection", () => host.standing?.state === "connected");
  proxy.hold();
  const opening = await startSource(t, new BrokerHost(), { url, queue });
  const sink = await startSink(t, { url });
  await waitFor("all three to be there", () => proxy.open() === 3);
  const start = performance.now();
  await Promise.all([open.stop(), opening.stop(), sink.stop()]);
  // The channel's goodbye and the connection's: each has its bound.
  assert.ok(performance.now() - start < 6_000);
});

test("a broker that is silent is given up after two heartbeats, and found again", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const proxy = await startProxy(broker.port);
  t.after(() => proxy.close());
  const host = new BrokerHost();
  await startSource(t, host, { url: `amqp://guest:guest@127.0.0.1:${proxy.port}`, queue, heartbeat: "1s" });
  await waitFor("a connection", () => host.standing?.state === "connected");
  proxy.hold();
  await waitFor("the word", () => host.waits.includes("heartbeat"));
  // The old socket is destroyed although its peer never answers.
  await waitFor("the socket's end", () => proxy.open() <= 1, 15_000);
  proxy.release();
  await waitFor("a connection again", () => host.standing?.state === "connected", 30_000);
});

test("the nodes of a cluster are tried in turn", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  await startSource(t, host, { url: ["amqp://127.0.0.1:1", broker.url], queue });
  await waitFor("a connection", () => host.standing?.state === "connected");
  assert.deepEqual(host.waits, ["connection_refused"]);
});

test("a broker that blocks publishers: the sink says so and waits, the source goes on, and nothing is lost", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const other = await ownQueue(there);
  const host = new BrokerHost();
  for (let n = 0; n < 10; n++) there.channel.sendToQueue(other, Buffer.from(`${n}`));
  await there.channel.waitForConfirms();
  const sink = await startSink(t, { url: broker.url });
  assert.deepEqual(await sink.deliver({ routing_key: queue }), { result: "delivered" });
  await broker.ctl("set_vm_memory_high_watermark", "0.000001");
  t.after(() => broker.ctl("set_vm_memory_high_watermark", "0.4"));
  // RabbitMQ tells a connection so when it publishes next.
  const first = await sink.deliver({ routing_key: queue }, {}, 3_000);
  assert.equal(first.result === "failed" && first.error, "timeout");
  await waitFor("the word", () => {
    const last = sink.standings.at(-1);
    return last?.state === "waiting" && last.error === "blocked";
  });
  const second = await sink.deliver({ routing_key: queue }, {}, 300);
  assert.equal(second.result === "failed" && second.error, "blocked");
  await startSource(t, host, { url: broker.url, queue: other });
  await waitFor("what the source takes meanwhile", () => host.appended.length === 10);
  const third = sink.deliver({ routing_key: queue }, {}, 60_000);
  await broker.ctl("set_vm_memory_high_watermark", "0.4");
  assert.deepEqual(await third, { result: "delivered" });
  assert.deepEqual(sink.standings.at(-1), { state: "connected" });
});

test("an operator closes the connections: both come back by themselves", async (t) => {
  const there = await outside(t, broker.url);
  const queue = await ownQueue(there);
  const host = new BrokerHost();
  await startSource(t, host, { url: broker.url, queue });
  const sink = await startSink(t, { url: broker.url });
  await waitFor("both", () => host.standing?.state === "connected" && sink.standings.length === 1);
  await broker.ctl("close_all_connections", "maintenance");
  await waitFor("the word", () => host.waits.includes("closed"));
  await waitFor("both again", () => {
    return host.standing?.state === "connected" && sink.standings.at(-1)?.state === "connected";
  });
  assert.deepEqual(await sink.deliver({ routing_key: queue }), { result: "delivered" });
  await waitFor("what went round", () => host.appended.length === 1);
});
