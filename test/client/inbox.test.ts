import assert from "node:assert/strict";
import { test } from "node:test";
import { Inbox } from "../../src/client/inbox.ts";
import { StreamError } from "../../src/client/words.ts";

const item = (data: unknown, taken = () => {}) => ({ event: { data }, taken });

test("an event counts as taken once the loop comes back for the next", async () => {
  const inbox = new Inbox(10);
  const taken: number[] = [];
  for (const n of [1, 2]) inbox.push(item(n, () => taken.push(n)));
  assert.deepEqual(await inbox.next(), { done: false, value: { data: 1 } });
  assert.deepEqual(taken, []);
  await inbox.next();
  assert.deepEqual(taken, [1]);
  inbox.settle();
  assert.deepEqual(taken, [1, 2]);
});

test("what isn't an event is told between the events", async () => {
  const inbox = new Inbox(10);
  const order: unknown[] = [];
  inbox.push(item(1));
  inbox.push({ taken: () => order.push("gap") });
  inbox.push(item(2));
  for (let n = 0; n < 2; n++) order.push((await inbox.next()).value?.data);
  assert.deepEqual(order, [1, "gap", 2]);
});

test("it is full at its bound, and there is room again when half was taken", async () => {
  const inbox = new Inbox(4);
  for (const n of [1, 2, 3, 4]) inbox.push(item(n));
  assert.ok(inbox.full);
  let roomy = false;
  const room = inbox.room().then(() => {
    roomy = true;
  });
  await inbox.next();
  await new Promise(setImmediate);
  assert.equal(roomy, false);
  await inbox.next();
  await room;
});

test("a loop that waits gets what comes, and ends with the end", async () => {
  const inbox = new Inbox(4);
  const next = inbox.next();
  inbox.push(item("late"));
  assert.equal((await next).value?.data, "late");
  const last = inbox.next();
  inbox.end();
  assert.deepEqual(await last, { done: true, value: undefined });
});

test("an error comes after what is there, and again", async () => {
  const inbox = new Inbox(4);
  inbox.push(item(1));
  inbox.end(new StreamError("revoked", "gone"));
  inbox.push(item(2));
  assert.equal((await inbox.next()).value?.data, 1);
  await assert.rejects(inbox.next(), { code: "revoked" });
  await assert.rejects(inbox.next(), { code: "revoked" });
});

test("a listener gets what waits and what comes, at once", () => {
  const inbox = new Inbox(2);
  const heard: unknown[] = [];
  inbox.push(item(1));
  inbox.listener = ({ data }) => heard.push(data);
  inbox.flush();
  for (const n of [2, 3, 4]) inbox.push(item(n));
  assert.deepEqual(heard, [1, 2, 3, 4]);
  assert.equal(inbox.full, false);
});
