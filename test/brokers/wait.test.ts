import assert from "node:assert/strict";
import { test } from "node:test";
import { Waiters, whenAborted } from "../../src/brokers/wait.ts";

test("who waits goes on when woken, the longest first, or when its signal aborts, and leaves nothing behind", async () => {
  const waiters = new Waiters();
  const order: string[] = [];
  const ends = new AbortController();
  const never = new AbortController().signal;
  const wait = (name: string, signal: AbortSignal) => waiters.wait(signal).then(() => order.push(name));
  const all = [wait("a", never), wait("b", ends.signal), wait("c", never), wait("d", never)];
  waiters.wakeOne();
  await all[0];
  ends.abort();
  await all[1];
  assert.deepEqual(order, ["a", "b"]);
  waiters.wakeAll();
  await Promise.all(all);
  assert.deepEqual(order, ["a", "b", "c", "d"]);
  waiters.wakeOne();
  waiters.wakeAll();
  await waiters.wait(ends.signal);
  await whenAborted(ends.signal);
});
