import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewRefusal } from "../../src/component.ts";
import { createRefusals } from "../../src/daemon/refusals.ts";

const refusal = (source: string, reason: string): NewRefusal => ({
  source,
  reason,
  address: "192.0.2.1",
  detail: "why",
  body: null,
});

test("every refusal is kept and counted; a leat event is raised once a minute for each source and reason", () => {
  let now = 0;
  const clock = { wall: () => 0, monotonic: () => now, after: () => () => {} };
  const kept: NewRefusal[] = [];
  const counted: string[] = [];
  const raised: [string, string, unknown][] = [];
  const refusals = createRefusals({
    history: { refuse: (one) => kept.push(one) },
    raise: (type, subject, data) => raised.push([type, subject, data]),
    append: async () => {},
    clock,
    counter: { refused: (source, reason) => counted.push(`${source} ${reason}`) },
  });
  for (let n = 0; n < 100; n++) refusals.refuse(refusal("a", "signature"));
  refusals.refuse(refusal("a", "too_large"));
  refusals.refuse(refusal("b", "signature"));
  now = 59_999;
  refusals.refuse(refusal("a", "signature"));
  assert.equal(kept.length, 103);
  assert.equal(counted.length, 103);
  assert.equal(raised.length, 3);
  now = 60_000;
  refusals.refuse(refusal("a", "signature"));
  assert.equal(raised.length, 4);
  assert.deepEqual(raised[3], [
    "leat.refused",
    "a",
    { source: "a", reason: "signature", address: "192.0.2.1", detail: "why", sinceLast: 100 },
  ]);
});
