import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type FetchAnswer,
  type FetchRequest,
  ReadAhead,
  requestAfter,
} from "../../../src/brokers/kafka/read-ahead.ts";

/** `{ 0: 17 }`: of partition 0 of topic `t`, from 17. */
function request(places: Readonly<Record<number, number>>): FetchRequest & { readonly maxBytes: number } {
  const partitions = Object.entries(places).map(([partition, offset]) => ({
    partition: Number(partition),
    fetchOffset: String(offset),
  }));
  return { maxBytes: 1_000, topics: [{ topic: "t", partitions }] };
}

/** `{ 0: [19, 40] }`: of partition 0 up to 19, and what may be read ends before 40. */
function answer(parts: Readonly<Record<number, readonly [last: number | null, end: number]>>): FetchAnswer {
  const partitions = Object.entries(parts).map(([partition, [last, end]]) => ({
    partition: Number(partition),
    lastStableOffset: String(end),
    messages: last === null ? [] : [{ offset: String(last) }],
  }));
  return { responses: [{ topicName: "t", partitions }] };
}

/** A broker that answers as it is told to, and says what it was asked. */
function broker(answers: readonly (FetchAnswer | Error)[]) {
  const asked: FetchRequest[] = [];
  return {
    asked,
    ask: async (one: FetchRequest) => {
      const next = answers[asked.push(one) - 1];
      if (next instanceof Error || next === undefined) throw next ?? new Error("asked too often");
      return next;
    },
  };
}

test("what comes next is asked for before it is wanted, from behind the last record of each partition", async () => {
  const { asked, ask } = broker([
    answer({ 0: [19, 40], 1: [null, 5] }),
    answer({ 0: [39, 40], 1: [null, 5] }),
  ]);
  const ahead = new ReadAhead();
  await ahead.fetch(request({ 0: 17, 1: 5 }), ask);
  assert.deepEqual(asked, [request({ 0: 17, 1: 5 }), request({ 0: 20, 1: 5 })]);
  const second = await ahead.fetch(request({ 1: 5, 0: 20 }), ask);
  assert.deepEqual(second, answer({ 0: [39, 40], 1: [null, 5] }));
  assert.equal(asked.length, 2, "it had been asked, and there is nothing more yet");
});

test("where anything else is wanted the early answer is dropped: another place, fewer partitions, more", async () => {
  for (const wanted of [{ 0: 18, 1: 5 }, { 0: 20 }, { 0: 20, 1: 5, 2: 0 }]) {
    const last = answer({ 0: [20, 21] });
    const { asked, ask } = broker([answer({ 0: [19, 40] }), answer({ 0: [39, 40] }), last]);
    const ahead = new ReadAhead();
    await ahead.fetch(request({ 0: 17, 1: 5 }), ask);
    assert.equal(await ahead.fetch(request(wanted), ask), last);
    assert.deepEqual(asked[2], request(wanted));
  }
});

test("what fails ahead of its time is asked for again in its time", async () => {
  const last = answer({ 0: [39, 40] });
  const { asked, ask } = broker([answer({ 0: [19, 40] }), new Error("cut"), last]);
  const ahead = new ReadAhead();
  await ahead.fetch(request({ 0: 17 }), ask);
  assert.equal(await ahead.fetch(request({ 0: 20 }), ask), last);
  assert.equal(asked.length, 3);
});

test("nothing is asked for ahead that would have to wait: at the end, before an open transaction, of an old broker", () => {
  const asked = request({ 0: 17 });
  assert.equal(requestAfter(asked, answer({ 0: [39, 40] })), null);
  assert.equal(requestAfter(asked, answer({ 0: [null, 40] })), null);
  assert.equal(requestAfter(asked, answer({ 0: [39, 30] })), null);
  const old = [{ topicName: "t", partitions: [{ partition: 0, messages: [{ offset: "18" }] }] }];
  assert.equal(requestAfter(asked, { responses: old }), null);
  assert.deepEqual(requestAfter(asked, answer({ 0: [18, 40] })), request({ 0: 19 }));
});
