/** Reloads that change what feeds a stream, or its name: its readers, then and later, miss nothing. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { followStream, type StreamReader } from "../e2e/stream-reader.ts";
import { newFolder } from "../journal/sqlite/journal-kit.ts";
import { waitFor } from "../wait-for.ts";
import { postJson, type Running, startForTest } from "./running.ts";

const yaml = (routes: string, stream = "live") => `
sources:
  in: { type: webhook, path: /in, verify: { type: none } }
  other: { type: webhook, path: /other, verify: { type: none } }
sinks: { ${stream}: { type: sse, path: /events, auth: { type: none } } }
routes: { ${routes} }
`;
const ALL = "all: { from: in, to: live }";

async function post({ url }: Running, path: string, ...numbers: number[]): Promise<number[]> {
  const seqs: number[] = [];
  for (const n of numbers) {
    const { status, json } = await postJson(`${url}/${path}`, { n });
    assert.equal(status, 200);
    seqs.push(Number(json.seq));
  }
  return seqs;
}

function follow(t: TestContext, { url }: Running, lastId?: number): StreamReader {
  const reader = followStream(`${url}/events`, lastId === undefined ? undefined : String(lastId));
  t.after(() => reader.close());
  return reader;
}

async function reload(running: Running, text: string): Promise<void> {
  running.writeConfig(text);
  const result = await running.daemon.reload();
  assert.ok(result.ok, JSON.stringify(result));
}

const numbers = ({ events }: StreamReader) => events.map(({ data }) => (JSON.parse(data) as { n: number }).n);
const filled =
  ({ daemon }: Running, route: string) =>
  () =>
    daemon.journal.ledger.subscription("live")?.unindexed([route]) === null;

test("a route that joins a stream brings the past for later readers; who is past it stays where it is", async (t) => {
  const running = await startForTest(t, yaml(ALL));
  const [first = 0] = await post(running, "in", 1);
  await post(running, "other", 2, 3);
  await post(running, "in", 4);
  const present = follow(t, running, first - 1);
  await waitFor("what there is", () => present.events.length === 2);
  await reload(running, yaml(`${ALL}, more: { from: other, to: { sink: live, start: beginning } }`));
  await post(running, "other", 5);
  await waitFor("what is new", () => present.events.length === 3);
  assert.deepEqual(numbers(present), [1, 4, 5]);
  await waitFor("the past", filled(running, "more"));
  const later = follow(t, running, first - 1);
  await waitFor("all of it", () => later.events.length >= 5);
  assert.deepEqual(numbers(later), [1, 2, 3, 4, 5]);
  assert.deepEqual([present.gaps, later.gaps, present.connections], [[], [], 1]);
  const counts = () => running.daemon.journal.ledger.subscription("live")!.counts();
  await waitFor("what is new to be counted", () => counts()[1]?.counts.delivered === 1);
  const [all, more] = counts();
  assert.deepEqual([all?.counts.delivered, more?.counts.accepted], [2, 1], "the past is counted by nobody");
});

test("a route that joins a stream from a time on brings what came since, also from before the stream's own past", async (t) => {
  const running = await startForTest(t, yaml(""));
  const [before = 0] = await post(running, "other", 1);
  await waitFor("the clock to go on", () => Date.now() % 1000 < 900);
  const event = await running.daemon.journal.log.get(before);
  const time = new Date(event!.time + 1).toISOString();
  await waitFor("a later millisecond", () => Date.now() > event!.time + 1);
  await post(running, "other", 2, 3);
  // Only now the stream begins.
  await reload(running, yaml(ALL));
  await post(running, "in", 4);
  await reload(running, yaml(`${ALL}, more: { from: other, to: { sink: live, start: "${time}" } }`));
  await waitFor("the past", filled(running, "more"));
  const reader = follow(t, running, before);
  await waitFor("all of it", () => reader.events.length >= 3);
  assert.deepEqual(numbers(reader), [2, 3, 4]);
  assert.deepEqual(reader.gaps, []);
});

test("a stream that is renamed by `was` keeps what its readers may come back for", async (t) => {
  const running = await startForTest(t, yaml(ALL));
  const [first = 0] = await post(running, "in", 1, 2, 3);
  const present = follow(t, running, first - 1);
  await waitFor("what there is", () => present.events.length === 3);
  await reload(running, yaml("all: { from: in, to: { sink: news, was: live } }", "news"));
  const fresh = follow(t, running);
  await waitFor("the one without a position", () => fresh.connections === 1);
  await post(running, "in", 4);
  const back = follow(t, running, first);
  await waitFor(
    "all",
    () => back.events.length >= 3 && fresh.events.length > 0 && present.events.length >= 4,
  );
  assert.deepEqual(numbers(back), [2, 3, 4]);
  assert.deepEqual(numbers(fresh), [4], "what was there before is new to nobody");
  assert.deepEqual(numbers(present), [1, 2, 3, 4], "sent away by the reload, it came back where it was");
  assert.deepEqual([...back.gaps, ...fresh.gaps, ...present.gaps], []);
});

/** As `sqlite3 <file> ".backup <copy>"`, while it is in use. */
function backUp(file: string, copy: string): void {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 10_000 });
  database.prepare("VACUUM INTO ?").run(copy);
  database.close();
}

for (const left of ["is gone", "was left in the folder"]) {
  test(`a reader ahead of a backup that was put back hears a gap, and all that comes then; its index ${left}`, async (t) => {
    const running = await startForTest(t, yaml(ALL));
    const data = join(newFolder(), "data");
    mkdirSync(data);
    await post(running, "in", 1, 2);
    const reader = follow(t, running);
    await post(running, "in", 3);
    await waitFor(
      "both to be settled",
      () => running.daemon.journal.ledger.subscription("live")?.lag() === null,
    );
    backUp(join(running.folder, "data/journal.db"), join(data, "journal.db"));
    const lost = await post(running, "in", 4, 5, 6);
    const last = lost.at(-1) ?? 0;
    const indexed = () => running.daemon.journal.streams.places().get("live")?.newest === last;
    await waitFor("what the backup hasn't, in the index", indexed);
    if (left !== "is gone") backUp(join(running.folder, "data/streams.db"), join(data, "streams.db"));
    reader.close();

    const folder = join(data, "..");
    const restored = await startForTest(t, yaml(ALL), { folder });
    const ahead = follow(t, restored, last);
    await waitFor("the gap", () => ahead.gaps.length === 1);
    await post(restored, "in", 7, 8);
    await waitFor("what came since", () => numbers(ahead).includes(8));
    assert.deepEqual(numbers(ahead), [1, 2, 3, 7, 8], "all that is held, and nothing of what was lost");
    const late = follow(t, restored, 1);
    await waitFor("a later reader", () => numbers(late).includes(8));
    assert.deepEqual(numbers(late), [1, 2, 3, 7, 8]);
  });
}
