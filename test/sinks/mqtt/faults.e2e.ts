import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startMosquitto } from "../../brokers/mosquitto.ts";
import { brokerPort } from "../../brokers/port.ts";
import { startProxy } from "../../brokers/proxy.ts";
import { waitFor } from "../../wait-for.ts";
import { connectedSink, message, reader, startSink } from "./rig.ts";

async function broker(t: TestContext, conf = "") {
  const started = await startMosquitto({ conf });
  t.after(started.close);
  return started;
}

test("without a broker an attempt waits for one, and fails with why there is none when its time is up", async (t) => {
  const port = await brokerPort();
  const { deliver, standings } = await startSink(t, { url: `mqtt://127.0.0.1:${port}` });
  await waitFor("it to say so", () => standings.length > 0);
  const report = await deliver(message("a"), 200);
  assert.equal(report.result === "failed" && report.error, "connection_refused");

  const waiting = deliver(message("a"));
  const { port: there } = await broker(t);
  const proxy = await startProxy(there, { port });
  t.after(proxy.close);
  assert.deepEqual(await waiting, { result: "delivered" });
});

test("what isn't confirmed when the connection is cut goes once more over the next one", async (t) => {
  const { port, url } = await broker(t);
  const proxy = await startProxy(port);
  t.after(proxy.close);
  const got = await reader(t, url, "cut");
  const rig = await connectedSink(t, { url: `mqtt://127.0.0.1:${proxy.port}` });
  proxy.hold();
  const reports = Promise.all([1, 2, 3].map((n) => rig.deliver(message("cut/a", { body: String(n) }))));
  proxy.cut();
  proxy.release();
  for (const report of await reports) assert.deepEqual(report, { result: "delivered" });
  await waitFor("all", () => got.length >= 3);
  assert.deepEqual(new Set(got.map(({ payload }) => String(payload))), new Set(["1", "2", "3"]));
});

test("a broker that stands still: attempts end in time, and it is given up after one and a half keepalives", async (t) => {
  const stopped = await broker(t);
  const rig = await connectedSink(t, { url: stopped.url, keepalive: "1s" });
  stopped.freeze();
  const report = await rig.deliver(message("a"), 100);
  assert.equal(report.result === "failed" && report.error, "timeout");
  await waitFor("the loss", () => !rig.connected());
  stopped.thaw();
  assert.deepEqual(await rig.deliver(message("a"), 20_000), { result: "delivered" });
});

test("what is given up keeps its place until the broker confirms it: no more are unconfirmed than it wants", async (t) => {
  const { port, url } = await broker(t);
  const proxy = await startProxy(port);
  t.after(proxy.close);
  const got = await reader(t, url, "slots");
  const { deliver } = await connectedSink(t, { url: `mqtt://127.0.0.1:${proxy.port}` });
  proxy.hold();
  // Mosquitto wants at most 20.
  const many = Array.from({ length: 30 }, () => deliver(message("slots/early"), 100));
  for (const report of await Promise.all(many)) {
    assert.equal(report.result === "failed" && report.error, "timeout");
  }
  const late = deliver(message("slots/late"));
  proxy.release();
  assert.deepEqual(await late, { result: "delivered" });
  await waitFor("the late one", () => got.some(({ topic }) => topic === "slots/late"));
  assert.equal(got.filter(({ topic }) => topic === "slots/early").length, 20);
});

test("a message over the broker's size is dead at once; one of exactly that size is delivered", async (t) => {
  const { url } = await broker(t, "max_packet_size 1000");
  for (const qos of [0, 1]) {
    const { deliver } = await connectedSink(t, { url, qos });
    const fixed = { id: "id", headers: [["traceparent", "none"]] as [string, string][] };
    const first = await deliver(message("a", { ...fixed, body: "x".repeat(2_000) }));
    assert.equal(first.result === "rejected" && first.error, "too_large");
    const over =
      Number(/packet of (\d+) bytes/.exec(first.result === "rejected" ? first.message : "")?.[1]) - 1_000;
    const exact = "x".repeat(2_000 - over);
    assert.deepEqual(await deliver(message("a", { ...fixed, body: exact })), { result: "delivered" });
    const one = await deliver(message("a", { ...fixed, body: `${exact}x` }));
    assert.equal(one.result, "rejected");
    // The broker would have closed the connection.
    assert.deepEqual(await deliver(message("a")), { result: "delivered" });
  }
});

test("a topic that this user may not publish to has failed with the reason, and the others go on", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-mqtt-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const rules = join(folder, "acl");
  writeFileSync(rules, "topic write may/#\n", { mode: 0o600 });
  const port = await brokerPort();
  // With 0 (no bound) Mosquitto 2.0.11 closes the connection behind a PUBACK that says no.
  const bound = "max_queued_messages 1000";
  await broker(t, `${bound}\nlistener ${port} 127.0.0.1\nallow_anonymous true\nacl_file ${rules}`);
  const { deliver, standings } = await connectedSink(t, { url: `mqtt://127.0.0.1:${port}` });
  const denied = await deliver(message("mustnt/a"));
  assert.deepEqual(denied.result === "failed" && { error: denied.error, status: denied.status }, {
    error: "forbidden",
    status: 135,
  });
  assert.deepEqual(await deliver(message("may/a")), { result: "delivered" });
  assert.equal(standings.length, 1);
});

test("a broker that is stopped in order is found again, and nothing is published twice by the library", async (t) => {
  const stopped = await broker(t);
  const rig = await connectedSink(t, { url: stopped.url });
  await stopped.stop();
  await waitFor("the loss", () => !rig.connected());
  const waiting = rig.deliver(message("again/a"), 20_000);
  await stopped.start();
  const got = await reader(t, stopped.url, "again");
  assert.deepEqual(await waiting, { result: "delivered" });
  assert.deepEqual(await rig.deliver(message("again/b")), { result: "delivered" });
  await waitFor("the second", () => got.some(({ topic }) => topic === "again/b"));
  assert.ok(got.filter(({ topic }) => topic === "again/a").length <= 1);
});
