import assert from "node:assert/strict";
import { test } from "node:test";
import { share } from "../../../src/brokers/kafka/assigner.ts";

const shared = (members: Record<string, string[]>, partitions: Record<string, number[]>) =>
  Object.fromEntries(
    [
      ...share(
        Object.entries(members).map(([memberId, topics]) => ({ memberId, topics })),
        new Map(Object.entries(partitions)),
      ),
    ].map(([id, topics]) => [id, { ...topics }]),
  );

test("shares partitions out evenly", () => {
  const shares = shared({ a: ["t", "u"], b: ["t", "u"] }, { t: [0, 1, 2], u: [0, 1, 2] });
  assert.deepEqual(shares, { a: { t: [0, 2], u: [1] }, b: { t: [1], u: [0, 2] } });
});

test("gives a member only what it has subscribed to", () => {
  const shares = shared({ a: ["t"], b: ["u"], c: ["t", "u"] }, { t: [0, 1, 2, 3], u: [0] });
  assert.deepEqual(Object.keys(shares.a ?? {}), ["t"]);
  assert.deepEqual(Object.keys(shares.b ?? {}), ["u"]);
  assert.deepEqual([...(shares.a?.t ?? []), ...(shares.c?.t ?? [])].toSorted(), [0, 1, 2, 3]);
});

test("each partition has one reader, and one that nobody wants none", () => {
  const shares = shared({ a: ["t"], b: [] }, { t: [0, 1], of_nobody: [0] });
  assert.deepEqual(shares, { a: { t: [0, 1] }, b: {} });
});

test("is the same whoever computes it", () => {
  const partitions = { t: [2, 0, 1], u: [1, 0] };
  assert.deepEqual(
    shared({ b: ["t", "u"], a: ["u", "t"] }, partitions),
    shared({ a: ["t", "u"], b: ["t", "u"] }, partitions),
  );
});
