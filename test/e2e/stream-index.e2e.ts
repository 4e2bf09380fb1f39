/** The streams' index is a projection: what happens to its file costs no reader an event. */
import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { unsettled } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeDaemon } from "./daemon.ts";
import { followStream, type StreamReader } from "./stream-reader.ts";

const YAML = `
sources:
  in: { type: webhook, path: /in, verify: { type: none } }
  other: { type: webhook, path: /other, verify: { type: none } }
sinks:
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  all: { from: in, transform: { n: "{{ body.n }}" }, to: live }
`;

async function started(t: TestContext, yaml = YAML): Promise<Daemon> {
  const daemon = await makeDaemon(yaml);
  t.after(() => daemon.close());
  await daemon.start();
  return daemon;
}

function follow(t: TestContext, daemon: Daemon, lastId?: string): StreamReader {
  const reader = followStream(`${daemon.url}/events`, lastId);
  t.after(() => reader.close());
  return reader;
}

/** True when it was answered 2xx. */
async function post(daemon: Daemon, n: number, path = "in", filling = ""): Promise<boolean> {
  try {
    const response = await fetch(`${daemon.url}/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ n, filling }),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function restart(daemon: Daemon, signal: NodeJS.Signals, between: () => void = () => {}) {
  daemon.signal(signal);
  await daemon.ended();
  between();
  await daemon.start();
}

const numbers = ({ events }: StreamReader) => events.map(({ data }) => (JSON.parse(data) as { n: number }).n);
const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, at) => from + at);
const file = (daemon: Daemon) => join(daemon.folder, "data", "streams.db");

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`streams.db is deleted after ${signal}: a reader from before gets everything, once, without a gap`, async (t) => {
    const daemon = await started(t);
    const first = follow(t, daemon);
    await waitFor("the reader", () => first.connections === 1);
    for (const n of upTo(300)) {
      assert.ok(await post(daemon, n));
      if (n % 10 === 0) await post(daemon, n, "other");
    }
    await waitFor("all", () => first.events.length === 300);
    // What isn't settled at a kill -9 is handed out again, also to those who ask for what comes from now on.
    await waitFor("nothing to be left to settle", async () => (await unsettled(daemon.admin)) === 0);
    first.close();
    const leftOff = first.events[9]?.id;

    await restart(daemon, signal, () => {
      for (const name of readdirSync(join(daemon.folder, "data"))) {
        if (name.startsWith("streams.db")) rmSync(join(daemon.folder, "data", name));
      }
    });
    const back = follow(t, daemon, leftOff);
    const fresh = follow(t, daemon);
    await waitFor("the one without a position", () => fresh.connections === 1);
    assert.ok(await post(daemon, 300));
    await waitFor("the last", () => numbers(back).at(-1) === 300 && fresh.events.length > 0, 20_000);
    assert.deepEqual(numbers(back), upTo(301, 10));
    assert.deepEqual(numbers(fresh), [300], "what was there before is new to nobody");
    assert.deepEqual(back.gaps, []);
  });
}

test("kill -9 in the middle of writes, and a torn streams.db: nothing that was answered 2xx is missed", async (t) => {
  const daemon = await started(t);
  const follower = follow(t, daemon);
  await waitFor("the reader", () => follower.connections === 1);
  assert.ok(await post(daemon, 0));
  await waitFor("the first", () => follower.events.length === 1);
  const leftOff = follower.events[0]?.id;

  const promised: number[] = [];
  let next = 1;
  for (const torn of [false, true]) {
    const until = promised.length + 300;
    let stop = false;
    const senders = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const n = next++;
        if (await post(daemon, n)) promised.push(n);
      }
    });
    await waitFor("some load", () => promised.length >= until, 20_000);
    daemon.signal("SIGKILL");
    await daemon.ended();
    stop = true;
    await Promise.all(senders);
    if (torn) {
      // As after a power cut on a disk that lied: the end of the file is gone, and the log beside it.
      truncateSync(file(daemon), Math.floor(statSync(file(daemon)).size / 2));
      for (const suffix of ["-wal", "-shm"]) rmSync(`${file(daemon)}${suffix}`, { force: true });
    }
    await daemon.start();
  }
  assert.ok(await post(daemon, next));
  promised.push(next);
  const back = follow(t, daemon, leftOff);
  for (const reader of [back, follower]) {
    await waitFor(
      "every promised event",
      () => {
        const seen = new Set(numbers(reader));
        return promised.every((n) => seen.has(n));
      },
      20_000,
    );
    assert.deepEqual(reader.gaps, []);
    const seqs = reader.events.map(({ id }) => Number(id));
    assert.ok(
      seqs.every((seq, at) => at === 0 || seq > seqs[at - 1]!),
      "seqs grow, none twice",
    );
  }
});

test("a reader of an empty stream that is cut and comes back after the first event misses nothing", async (t) => {
  const daemon = await started(t);
  // So that the stream's place isn't the journal's beginning.
  await post(daemon, 0, "other");
  const response = await fetch(`${daemon.url}/events`, { headers: { accept: "text/event-stream" } });
  const body = response.body!.getReader();
  const hello = Buffer.from((await body.read()).value!).toString();
  await body.cancel();
  const leftOff = /^id: ?(\d+)$/m.exec(hello)?.[1];
  assert.ok(leftOff, `it is told where it is: ${hello}`);
  await restart(daemon, "SIGKILL");
  for (const n of upTo(3)) assert.ok(await post(daemon, n));
  await restart(daemon, "SIGTERM", () => rmSync(file(daemon)));
  const back = follow(t, daemon, leftOff);
  await waitFor("all", () => back.events.length === 3, 20_000);
  assert.deepEqual(numbers(back), [0, 1, 2]);
  assert.deepEqual(back.gaps, []);
});

test("streams.db is torn while it is in use: who comes back gets everything without a restart", async (t) => {
  const daemon = await started(t, YAML.replace('transform: { n: "{{ body.n }}" }, ', ""));
  const present = follow(t, daemon);
  await waitFor("the reader", () => present.connections === 1);
  // More than the stream keeps in memory of what it published, and than the index keeps of its file.
  const senders = Array.from({ length: 8 }, async (_, sender) => {
    for (let n = sender; n < 500; n += 8) assert.ok(await post(daemon, n, "in", "x".repeat(50_000)));
  });
  await Promise.all(senders);
  await waitFor("all", () => present.events.length === 500, 20_000);
  const leftOff = present.events[9]?.id;
  const missed = numbers(present).slice(10);

  const fd = openSync(file(daemon), "r+");
  const page = Buffer.alloc(8192, 0xa5);
  for (let at = 3; at < statSync(file(daemon)).size / page.length; at++) {
    writeSync(fd, page, 0, page.length, at * page.length);
  }
  closeSync(fd);

  const back = follow(t, daemon, leftOff);
  await waitFor("everything it missed", () => back.events.length >= missed.length, 60_000);
  assert.deepEqual(numbers(back), missed);
  assert.deepEqual([back.gaps, present.gaps, present.connections], [[], [], 1]);
  assert.match(daemon.output(), /set aside/);
});

test("a route joins, the stream is renamed, and kill -9 comes in between: later readers get all of it", async (t) => {
  const daemon = await started(t);
  assert.ok(await post(daemon, 0));
  for (const n of upTo(400, 1)) assert.ok(await post(daemon, n, "other"));
  const first = follow(t, daemon);
  await waitFor("the reader", () => first.connections === 1);
  assert.ok(await post(daemon, 400));
  await waitFor("the last", () => first.events.length > 0);
  const joined = YAML.replace(
    "to: live }",
    'to: live }\n  more: { from: other, transform: { n: "{{ body.n }}" }, to: { sink: live, start: beginning } }',
  );
  daemon.writeConfig(joined);
  const headers = { "content-type": "application/json" };
  const reloaded = await fetch(`${daemon.admin}/api/reload`, { method: "POST", headers, body: "{}" });
  assert.ok(reloaded.ok, await reloaded.text());
  await restart(daemon, "SIGKILL");
  await restart(daemon, "SIGKILL", () =>
    daemon.writeConfig(
      joined
        .replace("  live:", "  news:")
        .replace("to: live }", "to: { sink: news, was: live } }")
        .replace("sink: live", "sink: news, was: live"),
    ),
  );
  const before = Number(first.events[0]?.id) - 402;
  const filled = async () => {
    const back = follow(t, daemon, String(before));
    await waitFor("its end", () => numbers(back).at(-1) === 400, 20_000);
    back.close();
    assert.deepEqual(back.gaps, []);
    return numbers(back);
  };
  await waitFor("all of it", async () => (await filled()).length === 401, 20_000);
  assert.deepEqual(await filled(), upTo(401));
});
