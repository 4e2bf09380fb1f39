/** What readers of a stream see of a stop: they are sent away over a while, and until then miss nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestReader } from "../sinks/stream-kit.ts";
import { waitFor } from "../wait-for.ts";
import { postJson, startRunning } from "./running.ts";

const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: sse, path: /events, auth: { type: none }, drain: 1s, retry: 2s } }
routes: { all: { from: in, to: live } }
`;
const READERS = 150;

test("at a stop readers are sent away over a window, each with a wait of its own, while events still come and go", async (t) => {
  const running = await startRunning(YAML);
  const { daemon, url, admin } = running;
  const ended: number[] = [];
  const readers = Array.from({ length: READERS }, () => new TestReader(`${url}/events`));
  t.after(() => {
    for (const reader of readers) reader.close();
  });
  await waitFor("all to be greeted", () => readers.every(({ parser }) => parser.comments > 0));
  const begun = performance.now();
  for (const reader of readers) {
    void waitFor("its end", () => reader.ended).then(() => ended.push(performance.now() - begun));
  }
  const stopped = running.stop();
  await waitFor("not to be ready", async () => (await fetch(`${admin}/readyz`)).status === 503);
  const { status } = await postJson(`${url}/in`, { n: 1 });
  assert.equal(status, 200);
  await waitFor("the event at those still there", () => readers.some(({ data }) => data.includes('{"n":1}')));
  const late = new TestReader(`${url}/events`);
  t.after(() => late.close());
  await waitFor("its end", () => late.ended);
  assert.equal(late.status, 200);
  assert.deepEqual(
    late.events.map(({ type, data }) => [type, data]),
    [["bye", '{"reason":"drain"}']],
  );
  const poll = await fetch(`${url}/events`, { headers: { accept: "application/json" } });
  assert.equal(poll.status, 503);
  await stopped;
  assert.equal(daemon.readiness().ready, false);
  await waitFor("all to be gone", () => ended.length === READERS);
  const span = Math.max(...ended) - Math.min(...ended);
  assert.ok(span >= 500 && span < 5000, `within ${span} ms`);
  for (const { events } of readers) assert.deepEqual(events.at(-1)?.data, '{"reason":"drain"}');
  const waits = readers.map(({ parser }) => parser.retry ?? 0);
  assert.ok(Math.min(...waits) >= 2000 && Math.max(...waits) <= 4000, `${Math.min(...waits)}`);
  assert.ok(new Set(waits).size > READERS / 4, "they would all come back at once");
  // Told of it, or told before it came: with the position that they leave with, none misses it.
  const told = readers.filter(({ data }) => data.includes('{"n":1}')).length;
  assert.ok(told > 0 && told < READERS, `${told} were still there`);
});
