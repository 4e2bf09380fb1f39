/**
 * Events that expire before they come to a stream (its index can't be written for longer than the journal keeps events):
 * every reader has each event or was told of a gap around it; none is missed in silence.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SqliteStreamIndex } from "../../src/journal/sqlite/stream-index.ts";
import { followStream, type StreamReader } from "../e2e/stream-reader.ts";
import { waitFor } from "../wait-for.ts";
import { postJson, type Running, startForTest } from "./running.ts";

/** More than a stream has under way at a time. */
const MANY = 200;

const yaml = (retention: string) => `
retention: ${retention}
sources:
  in: { type: webhook, path: /in, verify: { type: none } }
sinks: { live: { type: sse, path: /events, auth: { type: none } } }
routes: { all: { from: in, to: live } }
`;

async function post({ url }: Running, from: number, count: number): Promise<Map<number, number>> {
  const seqs = new Map<number, number>();
  for (let n = from; n < from + count; n++) {
    const { status, json } = await postJson(`${url}/in`, { n });
    assert.equal(status, 200);
    seqs.set(n, Number(json.seq));
  }
  return seqs;
}

function follow(t: TestContext, { url }: Running, lastId?: number): StreamReader {
  const reader = followStream(`${url}/events`, lastId === undefined ? undefined : String(lastId));
  t.after(() => reader.close());
  return reader;
}

const numbers = ({ events }: StreamReader) =>
  new Set(events.map(({ data }) => (JSON.parse(data) as { n: number }).n));

/** Each of `sent` was given, or lies in a gap that was told. */
function assertNoneMissedInSilence(reader: StreamReader, sent: ReadonlyMap<number, number>): void {
  const got = numbers(reader);
  const gaps = reader.gaps.map((gap) => JSON.parse(gap) as { asked: number; oldest: number });
  const silent = [...sent].filter(
    ([n, seq]) => !got.has(n) && !gaps.some(({ asked, oldest }) => asked < seq && seq <= oldest),
  );
  assert.deepEqual(silent, [], `gaps: ${reader.gaps.join()}`);
}

function expired({ daemon }: Running): number {
  const counts = daemon.journal.ledger.subscription("live")?.counts() ?? [];
  return counts.reduce((sum, { counts: { expired: each } }) => sum + each, 0);
}

test("what expired before a stream could take it is a gap to those who are there, and to those who come back", async (t) => {
  const running = await startForTest(t, yaml("{ age: 2s }"));
  const index = running.daemon.journal.streams as SqliteStreamIndex;
  const sent = await post(running, 0, 3);
  const first = sent.get(0) as number;
  const present = follow(t, running, first - 1);
  await waitFor("the first", () => present.events.length === 3);
  await index.limitPages(1);
  for (const [n, seq] of await post(running, 3, MANY)) sent.set(n, seq);
  await waitFor("events to expire", () => expired(running) > 0, 20_000);
  await index.limitPages(1_000_000);
  for (const [n, seq] of await post(running, 1000, 3)) sent.set(n, seq);
  await waitFor("the last", () => numbers(present).has(1002), 20_000);
  assertNoneMissedInSilence(present, sent);
  assert.equal(present.gaps.length, 1);
  const metrics = await (await fetch(`${running.admin}/metrics`)).text();
  assert.match(metrics, /^leat_stream_gaps_total\{sink="live"\} 1$/m);
  assert.match(metrics, /^leat_stream_messages_total\{sink="live"\} \d+$/m);

  const back = follow(t, running, first);
  await waitFor("the last", () => numbers(back).has(1002));
  sent.delete(0);
  assertNoneMissedInSilence(back, sent);
  assert.ok(running.logged.some(({ msg }) => String(msg).startsWith("events have lapsed")));
});

test("a reader who was there before the stream's first event hears of what expired before it", async (t) => {
  const running = await startForTest(t, yaml("{ age: 2s }"));
  const index = running.daemon.journal.streams as SqliteStreamIndex;
  await index.limitPages(1);
  const present = follow(t, running);
  await waitFor("the reader", () => present.connections === 1);
  const sent = await post(running, 0, MANY);
  await waitFor("events to expire", () => expired(running) > 0, 20_000);
  await index.limitPages(1_000_000);
  for (const [n, seq] of await post(running, 1000, 1)) sent.set(n, seq);
  await waitFor("the last", () => numbers(present).has(1000), 20_000);
  assertNoneMissedInSilence(present, sent);
});

test("what a person purged of a stream is a gap to its readers, too, also while nothing comes behind it", async (t) => {
  const running = await startForTest(t, yaml("{ age: 7d }"));
  const index = running.daemon.journal.streams as SqliteStreamIndex;
  const sent = await post(running, 0, 1);
  const present = follow(t, running, (sent.get(0) as number) - 1);
  await waitFor("the first", () => present.events.length === 1);
  await index.limitPages(1);
  for (const [n, seq] of await post(running, 1, MANY)) sent.set(n, seq);
  const purged = running.daemon.journal.ledger.purge("live", "owed");
  await index.limitPages(1_000_000);
  assert.ok((await purged) > 0);
  await waitFor("the gap", () => present.gaps.length === 1);
  for (const [n, seq] of await post(running, 1000, 1)) sent.set(n, seq);
  await waitFor("the last", () => numbers(present).has(1000));
  assertNoneMissedInSilence(present, sent);
});
