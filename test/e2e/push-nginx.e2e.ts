/** Streams through a real nginx as it comes: buffering, compressing, speaking HTTP/1.1 and HTTP/2, cutting what is quiet. */
import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { type TestContext, test } from "node:test";
import { startNginx } from "../nginx.ts";
import { SseParser } from "../sinks/sse-parser.ts";
import { TestReader } from "../sinks/stream-kit.ts";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeDaemon } from "./daemon.ts";
import { followStream } from "./stream-reader.ts";

const yaml = (heartbeat = "15s") => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: sse, path: /events, auth: { type: none }, heartbeat: ${heartbeat} } }
routes: { all: { from: in, to: live } }
`;

/** As a distribution ships it: nothing is set for streams. */
const location = (daemon: Daemon, more = "") => `
  gzip on; gzip_min_length 0; ${more}
  location / { proxy_pass ${daemon.url}; proxy_http_version 1.1; proxy_set_header Host localhost; }`;

async function start(t: TestContext, { heartbeat, listen = "", more = "" }: Record<string, string> = {}) {
  const daemon = await makeDaemon(yaml(heartbeat));
  t.after(() => daemon.close());
  await daemon.start();
  const nginx = await startNginx(t, (port) => `listen 127.0.0.1:${port}${listen};${location(daemon, more)}`);
  return { daemon, url: `http://127.0.0.1:${nginx.port}` };
}

async function post(daemon: Daemon, n: number): Promise<void> {
  const answer = await fetch(`${daemon.url}/in`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ n }),
  });
  assert.equal(answer.status, 200);
}

test("HTTP/1.1: the greeting and each event come at once, though nginx buffers and compresses", async (t) => {
  const { daemon, url } = await start(t);
  const reader = new TestReader(`${url}/events`, { "accept-encoding": "gzip" });
  t.after(() => reader.close());
  await waitFor("the greeting", () => reader.parser.comments > 0);
  assert.equal(reader.headers["content-encoding"], undefined);
  for (let n = 0; n < 5; n++) {
    await post(daemon, n);
    await waitFor("the event", () => reader.data.length === n + 1, 1000);
  }
});

test("HTTP/1.1, nginx told to compress streams, too: each event comes at once", async (t) => {
  const { daemon, url } = await start(t, { more: "gzip_types text/event-stream;" });
  const stop = new AbortController();
  t.after(() => stop.abort());
  const answer = await fetch(`${url}/events`, {
    headers: { "accept-encoding": "gzip" },
    signal: stop.signal,
  });
  assert.equal(answer.headers.get("content-encoding"), "gzip");
  const parser = new SseParser();
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) parser.push(chunk);
  })();
  reading.catch(() => {});
  await waitFor("the greeting", () => parser.comments > 0);
  for (let n = 0; n < 5; n++) {
    await post(daemon, n);
    await waitFor("the event", () => parser.events.length === n + 1, 1000);
  }
});

test("HTTP/2: 50 readers share a connection, and each gets each event at once", async (t) => {
  const { daemon, url } = await start(t, { listen: " http2" });
  const session = connectHttp2(url);
  t.after(() => session.destroy());
  const parsers = Array.from({ length: 50 }, () => {
    const parser = new SseParser();
    const stream = session.request({ ":path": "/events", accept: "text/event-stream" });
    stream.on("data", (chunk: Buffer) => parser.push(chunk));
    stream.on("response", (headers) => {
      assert.equal(headers[":status"], 200);
      // RFC 9113, 8.2.2: it would end the stream.
      assert.equal(headers.connection, undefined);
    });
    return parser;
  });
  await waitFor("all to be greeted", () => parsers.every(({ comments }) => comments > 0));
  for (let n = 0; n < 5; n++) {
    await post(daemon, n);
    await waitFor("the event", () => parsers.every(({ events }) => events.length === n + 1), 2000);
  }
  const ids = new Set(parsers.map(({ lastEventId }) => lastEventId));
  assert.equal(ids.size, 1);
});

test("a proxy that cuts what is quiet is kept by heartbeats; without them a reader that was cut misses nothing", async (t) => {
  // 60 s, in less.
  const more = "proxy_read_timeout 1s;";
  const kept = await start(t, { heartbeat: "300ms", more });
  const quiet = new TestReader(`${kept.url}/events`);
  t.after(() => quiet.close());
  await waitFor("heartbeats for longer than that", () => quiet.parser.comments >= 12);
  assert.equal(quiet.ended, false);

  const cut = await start(t, { heartbeat: "15s", more });
  const reader = followStream(`${cut.url}/events`);
  t.after(() => reader.close());
  await waitFor("the first connection", () => reader.connections === 1);
  await post(cut.daemon, 0);
  await waitFor("the first event", () => reader.events.length === 1);
  for (let n = 1; n <= 60; n++) await post(cut.daemon, n);
  await waitFor("a cut", () => reader.connections >= 2);
  await post(cut.daemon, 61);
  await waitFor("a further cut", () => reader.connections >= 3);
  await post(cut.daemon, 62);
  await waitFor("the last", () => reader.events.length >= 63);
  assert.deepEqual(
    reader.events.map(({ data }) => (JSON.parse(data) as { n: number }).n),
    Array.from({ length: 63 }, (_, n) => n),
  );
  assert.deepEqual(reader.gaps, []);
});

test("a long poll is answered through it as soon as there is something", async (t) => {
  const { daemon, url } = await start(t);
  await post(daemon, 0);
  const ask = async (query: string) => {
    const answer = await fetch(`${url}/events?${query}`, { headers: { accept: "application/json" } });
    assert.equal(answer.status, 200);
    return (await answer.json()) as { events: { data: { n: number } }[]; next: number };
  };
  const { next } = await ask("");
  const waiting = ask(`since=${next}&wait=20s`);
  await post(daemon, 1);
  assert.deepEqual(
    (await waiting).events.map(({ data }) => data.n),
    [1],
  );
});

test("a daemon that drains tells its readers through it, and they come back to the next one", async (t) => {
  const { daemon, url } = await start(t);
  const reader = new TestReader(`${url}/events`);
  t.after(() => reader.close());
  await waitFor("the greeting", () => reader.parser.comments > 0);
  daemon.signal("SIGTERM");
  await waitFor("bye", () => reader.events.some(({ type }) => type === "bye"));
  await waitFor("its end", () => reader.ended);
  assert.equal(await daemon.ended(), 0);
});
