import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { StreamTarget } from "../../src/delivery/target.ts";
import { LeatError } from "../../src/errors.ts";
import type { Event, Seq } from "../../src/event.ts";
import type { Reread, StreamIndex } from "../../src/journal/journal.ts";
import { openStreamIndex } from "../../src/journal/sqlite/stream-index.ts";
import { frame } from "../conformance/stream-index.ts";
import { waitFor } from "../wait-for.ts";
import { delivery, newEvent, silent } from "./kit.ts";
import { MemoryLedger } from "./memory-ledger.ts";

/** A stream whose subscription had 1 to 100 before, of which the log has what is above `oldest`. */
async function setUp(t: TestContext, oldest: Seq) {
  const folder = mkdtempSync(join(tmpdir(), "leat-rebuild-"));
  const file = join(folder, "streams.db");
  const index = await openStreamIndex({ file, log: silent });
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "live", kind: "stream", order: "seq" });
  const published: Seq[] = [];
  const past = (seq: Seq): Event => ({ ...newEvent({ id: `e${seq}` }), seq });
  subscription.cursor = () => 100;
  subscription.reread = async (after): Promise<Reread> => {
    const from = Math.max(after, oldest);
    const through = Math.min(100, from + 30);
    const deliveries = Array.from({ length: through - from }, (_, at) => ({
      event: past(from + at + 1),
      cause: null,
      routes: ["live"],
    }));
    return { deliveries, from, through };
  };
  // No thread for it at first: it is missing from no index for that.
  let tries = 0;
  const stream: StreamTarget = {
    stream: "live",
    sink: {
      endpoint: () => ({ path: "/events", subtree: false, handle() {} }),
      start: async () => {},
      publish: (seq) => published.push(seq),
      stop: async () => {},
    },
    routes: new Map([
      [
        "live",
        (event) => {
          if (event.seq === 5 && tries++ === 0) {
            throw new LeatError("unavailable", "expressions_stopped", "there is no thread for it");
          }
          if (event.seq % 10 === 0) throw new Error("a defect");
          return { result: "message", body: event.body, contentType: null, fields: { channel: "a" } };
        },
      ],
    ]),
    channelBytes: 256,
  };
  const works = delivery(ledger, { streams: index });
  t.after(async () => {
    await works.stop(0);
    await index.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const seqs = async () => {
    const all = await index.read("live", 0, { exact: ["a"], patterns: [] }, 2000);
    return all.frames.map(({ seq }) => seq);
  };
  return { ledger, subscription, index, works, stream, published, seqs, file };
}

const whole = (index: StreamIndex) => () => {
  const { newest = 0, missing = null } = index.places().get("live") ?? {};
  return newest >= 100 && missing === null;
};
const lost = Array.from({ length: 100 }, (_, at) => at + 1).filter((each) => each % 10 !== 0);

test("what was lost is written again beside what is new, handed to nobody and settled by nobody", async (t) => {
  const { ledger, subscription, index, works, stream, published, seqs } = await setUp(t, 0);
  const { seq } = ledger.append(newEvent());
  await works.apply([], [stream]);
  await waitFor("the new one", () => subscription.settled.length === 1);
  assert.equal(index.places().get("live")?.missing?.through, 100, "the new one didn't wait for it");
  assert.deepEqual(await seqs(), [], "but who reads does");
  await waitFor("all of it", whole(index));
  assert.deepEqual(await seqs(), [...lost, seq]);
  assert.deepEqual(published, [seq]);
  assert.deepEqual(
    subscription.settled.map((each) => each.seq),
    [seq],
  );
  assert.equal((await index.bounds("live")).oldest, 0);
});

test("what the journal has no more is a gap: the index answers for nothing before it", async (t) => {
  const { index, works, stream, seqs } = await setUp(t, 40);
  await index.write([{ stream: "live", seq: 5, frames: [frame("a", "x")] }]);
  await works.apply([], [stream]);
  await waitFor("the end", whole(index));
  assert.deepEqual(await index.bounds("live"), { oldest: 40, newest: 100 });
  const page = await index.read("live", 40, { exact: ["a"], patterns: [] }, 2000);
  assert.deepEqual(
    page.frames.map(({ seq }) => seq),
    lost.filter((seq) => seq > 40),
  );
  assert.ok((await seqs())[0]! <= 41);
});

test("a past that a new stream is only coming to is missing until it is there: no reader goes past it", async (t) => {
  const { ledger, subscription, index, works, stream } = await setUp(t, 0);
  const sent = [1, 2, 3].map(() => ledger.append(newEvent()).seq);
  const [first = 0, , last = 0] = sent;
  await index.write([{ stream: "live", seq: last + 7, frames: [] }]);
  const held = Promise.withResolvers<void>();
  const made = {
    result: "message" as const,
    body: Buffer.from("x"),
    contentType: null,
    fields: { channel: "a" },
  };
  const past = ({ seq }: Event) => (seq === first ? made : held.promise.then(() => made));
  await works.apply([], [{ ...stream, routes: new Map([["live", past]]) }]);
  const given = async () => (await index.read("live", 100, { exact: ["a"], patterns: [] }, 10)).frames;
  await waitFor("the first of it", () => index.places().get("live")?.missing?.after === first);
  assert.equal((await index.bounds("live")).oldest, 100);
  assert.deepEqual(
    (await given()).map(({ seq }) => seq),
    [first],
  );
  held.resolve();
  await waitFor("the rest", () => subscription.settled.length === 3);
  assert.deepEqual(
    (await given()).map(({ seq }) => seq),
    sent,
  );
});

test("an index that loses what it had while it is in use is filled again at once", async (t) => {
  const { index, works, stream, seqs, file } = await setUp(t, 0);
  await works.apply([], [stream]);
  await waitFor("all of it", whole(index));
  // A table that isn't there: the thread takes the file for damaged at its next request, as it would a torn page.
  const damage = new DatabaseSync(file);
  damage.enableDefensive(false);
  damage.exec("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'frame'");
  damage.exec("PRAGMA schema_version = 99");
  damage.close();
  let told = 0;
  index.onLost(() => told++);
  await waitFor("the damage to be noticed", async () => (await seqs()).length >= 0 && told === 1);
  await waitFor("all of it again", whole(index));
  assert.deepEqual(await seqs(), lost);
});

test("a route's past is written with all that the stream's routes yield, and remembered page by page", async (t) => {
  const { subscription, index, works, stream, seqs } = await setUp(t, 0);
  await index.write([{ stream: "live", seq: 50, frames: [frame("a", "as it was")] }]);
  await index.write([{ stream: "live", seq: 100, frames: [] }]);
  assert.equal((await index.bounds("live")).oldest, 49);
  let after = 20;
  const remembered: Seq[] = [];
  subscription.unindexed = (routes) => (after < 90 ? { routes, after, through: 90 } : null);
  subscription.indexed = (routes, through) => {
    assert.deepEqual(routes, ["live"]);
    remembered.push((after = through));
  };
  await works.apply([], [stream]);
  await waitFor("the end", () => after >= 90);
  await waitFor("what was before the index's beginning", whole(index));
  assert.deepEqual(
    await seqs(),
    [...lost.filter((seq) => seq > 20 && seq <= 90), 50]
      .sort((a, b) => a - b)
      .filter((_, n, all) => all[n] !== all[n + 1]),
  );
  assert.deepEqual(remembered, [50, 80, 90]);
  assert.deepEqual(await index.bounds("live"), { oldest: 20, newest: 100 });
});

test("a stream takes over the index of its former name, with what its last worker had under way", async (t) => {
  const { ledger, subscription, index, works, stream, seqs } = await setUp(t, 0);
  const held = Promise.withResolvers<void>();
  let prepared = 0;
  const old: StreamTarget = {
    ...stream,
    stream: "old",
    routes: new Map([
      [
        "live",
        (event, cause) => {
          prepared++;
          return held.promise.then(() => stream.routes.get("live")!(event, cause));
        },
      ],
    ]),
  };
  subscription.cursor = () => 0;
  const byName = new Map([["old", subscription]]);
  const renamed = delivery(ledger, { streams: index }, (name) => byName.get(name));
  t.after(() => renamed.stop(0));
  await renamed.apply([], [old]);
  const { seq } = ledger.append(newEvent());
  await waitFor("the first to be under way", () => prepared === 1);
  byName.clear();
  byName.set("live", Object.assign(subscription, { definition: { ...subscription.definition, was: "old" } }));
  const ended = renamed.apply([], [stream]);
  held.resolve();
  await ended;
  const next = ledger.append(newEvent({ id: "next" })).seq;
  await waitFor("both to be settled", () => subscription.settled.length === 2);
  assert.deepEqual(await seqs(), [seq, next]);
  assert.deepEqual([...index.places().keys()], ["live"]);
  await works.stop(0);
});
