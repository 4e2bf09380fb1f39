import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_BYTES, Portion } from "../../../src/sources/rabbitmq/portion.ts";

const MiB = 2 ** 20;

test("as many as configured are taken while their bodies fit into memory", () => {
  const portion = new Portion(500, 500);
  for (let count = 1; count <= 500; count++) {
    assert.equal(portion.after(1024, { bytes: count * 1024, count }), null);
  }
});

test("where they don't, so many that half of the bound is enough; one that is larger than the bound comes alone", () => {
  assert.equal(new Portion(500, 500).after(16 * MiB, { bytes: 80 * MiB, count: 5 }), 2);
  assert.equal(new Portion(2, 500).after(60 * MiB, { bytes: 120 * MiB, count: 2 }), 1);
  assert.equal(new Portion(1, 500).after(100 * MiB, { bytes: 100 * MiB, count: 1 }), null);
  const few = new Portion(500, 500).after(MiB, { bytes: MOST_BYTES + 1, count: 64 });
  assert.ok(few !== null && few >= 30 && few <= 32, `${few}`);
});

test("a thousand small ones in a row, and as many as configured are taken again", () => {
  const portion = new Portion(2, 500);
  const small = { bytes: 1000, count: 1 };
  for (let n = 1; n < 1_000; n++) assert.equal(portion.after(1000, small), null);
  assert.equal(portion.after(16 * MiB, { bytes: 16 * MiB, count: 1 }), null);
  for (let n = 1; n < 1_000; n++) assert.equal(portion.after(1000, small), null);
  assert.equal(portion.after(1000, small), 500);
});
