import assert from "node:assert/strict";
import { test } from "node:test";
import { DedupeTable } from "../../../src/journal/sqlite/dedupe-table.ts";
import { SeededChance } from "../simulation/chance.ts";

function seqsOf(table: DedupeTable, hash: number, newest: number): number[] {
  const found: number[] = [];
  for (let slot = table.first(hash); slot !== -1; slot = table.next(slot, hash)) {
    found.push(table.seqAt(slot, newest));
  }
  return found.sort((a, b) => a - b);
}

test("finds exactly what was added and not removed, whatever collides", () => {
  const chance = new SeededChance(7);
  const table = new DedupeTable(1);
  const model = new Map<number, Set<number>>();
  const start = 1_795_000_000_000_000;
  for (let n = 0; n < 60_000; n++) {
    // Few hashes, all near one another and at the table's end, so that clusters form and wrap.
    const hash = (0xffff_fff0 + chance.below(3000)) >>> 0 || 1;
    const seqs = model.get(hash) ?? new Set();
    model.set(hash, seqs);
    if (chance.odds(0.6)) {
      table.add(hash, start + n);
      seqs.add(start + n);
    } else {
      const [gone] = seqs;
      assert.equal(table.remove(hash, gone ?? start - 1), gone !== undefined);
      if (gone !== undefined) seqs.delete(gone);
    }
  }
  let size = 0;
  for (const [hash, seqs] of model) {
    assert.deepEqual(
      seqsOf(table, hash, start + 60_000),
      [...seqs].sort((a, b) => a - b),
    );
    size += seqs.size;
  }
  assert.equal(table.size, size);
});

test("tells seqs whole from their low 32 bits, across a change of the high ones", () => {
  const table = new DedupeTable(1);
  const edge = 419_000 * 2 ** 32;
  const hash = table.hash(1, "x");
  for (const seq of [edge - 2, edge - 1, edge, edge + 1]) table.add(hash, seq);
  assert.deepEqual(seqsOf(table, hash, edge + 5_000_000), [edge - 2, edge - 1, edge, edge + 1]);
});

test("holds five million ids in 8 bytes a slot", () => {
  const table = new DedupeTable(1, 5_000_000);
  assert.ok(table.bytes <= 2 ** 24 * 8, `${table.bytes}`);
  assert.equal(table.bytes, new DedupeTable(2, 5_000_000).bytes);
});

test("hashes differ by source, id and seed, and spread", () => {
  const one = new DedupeTable(1);
  const two = new DedupeTable(2);
  assert.notEqual(one.hash(1, "a"), one.hash(2, "a"));
  assert.notEqual(one.hash(1, "a"), one.hash(1, "b"));
  assert.notEqual(one.hash(1, "a"), two.hash(1, "a"));
  const seen = new Set<number>();
  for (let n = 0; n < 100_000; n++) seen.add(one.hash(1, `evt_${n}`) & 0xfff);
  assert.equal(seen.size, 4096);
});
