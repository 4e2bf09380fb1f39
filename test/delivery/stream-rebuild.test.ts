import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { StreamTarget } from "../../src/delivery/target.ts";
import { LeatError } from "../../src/errors.ts";
import type { Event, Seq } from "../../src/event.ts";
import type { Reread } from "../../src/journal/journal.ts";
import { openStreamIndex } from "../../src/journal/sqlite/stream-index.ts";
import { waitFor } from "../wait-for.ts";
import { delivery, newEvent, silent } from "./kit.ts";
import { MemoryLedger } from "./memory-ledger.ts";

/** A stream whose subscription had 1 to 100 before, of which the log has what is above `oldest`. */
async function setUp(t: TestContext, oldest: Seq) {
  const folder = mkdtempSync(join(tmpdir(), "leat-rebuild-"));
  const index = await openStreamIndex({ file: join(folder, "streams.db"), log: silent });
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
  return { ledger, subscription, index, works, stream, published, seqs };
}

test("what was lost is written again before anything new, handed to nobody and settled by nobody", async (t) => {
  const { ledger, subscription, index, works, stream, published, seqs } = await setUp(t, 0);
  const { seq } = ledger.append(newEvent());
  await works.apply([], [stream]);
  await waitFor("the new one", () => subscription.settled.length === 1);
  const lost = Array.from({ length: 100 }, (_, at) => at + 1).filter((each) => each % 10 !== 0);
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
  await index.write([
    {
      stream: "live",
      seq: 5,
      frames: [{ channel: "a", type: "t", id: "x", time: 1, body: new Uint8Array(1) }],
    },
  ]);
  await works.apply([], [stream]);
  await waitFor("the end", async () => (await index.bounds("live")).newest === 100);
  assert.equal((await index.bounds("live")).oldest, 40);
  assert.equal((await seqs())[0], 41);
});
