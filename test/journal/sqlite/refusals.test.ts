import assert from "node:assert/strict";
import { test } from "node:test";
import { RefusalQueue } from "../../../src/journal/sqlite/refusals.ts";
import { waitFor } from "../../wait-for.ts";
import { SimulatedClock } from "../simulation/simulated-clock.ts";
import { newFolder, openAt } from "./journal-kit.ts";

const refusal = (address: string, reason = "signature") => ({
  source: "github",
  reason,
  address,
  detail: "no",
  body: Buffer.from("x".repeat(5000)),
});

test("refusals coalesce by source, reason and address, and keep the first KiB of the body", () => {
  const queue = new RefusalQueue(new SimulatedClock());
  for (let n = 0; n < 500; n++) queue.refuse(refusal("10.0.0.1"));
  queue.refuse(refusal("10.0.0.2"));
  queue.refuse(refusal("10.0.0.1", "too_large"));
  const rows = queue.take();
  assert.deepEqual(
    rows.map(({ address, reason, count }) => [address, reason, count]),
    [
      ["10.0.0.1", "signature", 500],
      ["10.0.0.2", "signature", 1],
      ["10.0.0.1", "too_large", 1],
    ],
  );
  assert.equal(rows[0]?.body?.byteLength, 1024);
});

test("at most ten rows a second go, and the others follow", () => {
  const clock = new SimulatedClock();
  const queue = new RefusalQueue(clock);
  let taken = 0;
  queue.onWaiting = () => {
    taken += queue.take().length;
  };
  for (let n = 0; n < 200; n++) queue.refuse(refusal(`10.0.0.${n}`));
  assert.equal(taken, 10);
  clock.pass(5000);
  assert.ok(taken >= 55 && taken <= 61, `${taken}`);
  clock.pass(60_000);
  assert.equal(taken, 200);
});

test("a flood from many addresses takes no more memory than its bound, and is still counted", () => {
  const queue = new RefusalQueue(new SimulatedClock());
  for (let n = 0; n < 50_000; n++) queue.refuse(refusal(`${n}`));
  let [rows, count] = [0, 0];
  const all: { address: string; count: number }[] = [];
  // Given back, rows keep their counts.
  queue.restore(queue.take());
  for (let clock = 0; clock < 500; clock++) all.push(...queue.take());
  for (const row of all) [rows, count] = [rows + 1, count + row.count];
  assert.ok(rows <= 1002, `${rows}`);
  assert.ok(count <= 50_000);
});

test("refusals come back newest first, after a restart too", async () => {
  const opened = await openAt(newFolder());
  opened.journal.history.refuse(refusal("10.0.0.1"));
  opened.journal.history.refuse(refusal("10.0.0.2"));
  const rows = await waitFor("the rows", async () => {
    const found = await opened.journal.history.refusals(10);
    return found.length === 2 && found;
  });
  assert.deepEqual(
    rows.map(({ address }) => address),
    ["10.0.0.2", "10.0.0.1"],
  );
  const again = await opened.reopen();
  assert.equal((await again.journal.history.refusals(10)).length, 2);
  await again.close();
});
