import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewRefusal } from "../../src/component.ts";
import { createRefusals } from "../../src/daemon/refusals.ts";
import { packHeaders } from "../../src/event.ts";

const STILL = { wall: () => 0, monotonic: () => 0, after: () => () => {} };

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

test("what a broker gave is told each time and all of it, and kept only once that is on disk", async () => {
  const kept: NewRefusal[] = [];
  const appended: [string, string, object][] = [];
  let failure: Error | null = null;
  const refusals = createRefusals({
    history: { refuse: (one) => kept.push(one) },
    raise: () => assert.fail("not without waiting"),
    append: async (type, subject, data) => {
      if (failure !== null) throw failure;
      appended.push([type, subject, data]);
    },
    clock: STILL,
    counter: { refused: () => {} },
  });
  const large: NewRefusal = {
    ...refusal("orders", "too_large"),
    key: "k".repeat(300),
    headers: packHeaders([
      ["a", "b"],
      ["odd", Buffer.from([0xff])],
      ["__proto__", "x"],
    ]),
    body: Buffer.from("first bytes"),
  };
  await refusals.keepRefused(large);
  await refusals.keepRefused({ ...large, body: Buffer.from([0xff, 0]) });
  assert.equal(kept.length, 2);
  assert.deepEqual(Object.keys(kept[0] ?? {}).toSorted(), ["address", "body", "detail", "reason", "source"]);
  assert.deepEqual(
    appended.map(([type, subject]) => [type, subject]),
    [
      ["leat.refused", "orders"],
      ["leat.refused", "orders"],
    ],
  );
  assert.equal(
    JSON.stringify(appended[0]?.[2]),
    JSON.stringify({
      source: "orders",
      reason: "too_large",
      address: "192.0.2.1",
      detail: "why",
      key: `${"k".repeat(256)}…`,
      headers: JSON.parse('{"a":"b","odd":"/w==","__proto__":"x"}') as object,
      data: "first bytes",
    }),
  );
  assert.match(JSON.stringify(appended[1]?.[2]), /"data_base64":"\/wA="/);
  failure = new Error("full");
  await assert.rejects(refusals.keepRefused(large));
  assert.equal(kept.length, 2);
});
