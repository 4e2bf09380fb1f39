/** Ids that an earlier process left are read a little at a time, and what isn't read yet is a duplicate all the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Duplicates } from "../../../src/journal/sqlite/duplicates.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage, type Storage } from "../../../src/journal/sqlite/storage.ts";

const LIMIT = 100_000;

/** A journal with so many ids of source 1, at every other seq. */
function filled(count: number): Storage {
  const storage = openStorage({ file: ":memory:" });
  migrate(storage, 0);
  const earlier = new Duplicates(storage, LIMIT, 1);
  storage.begin();
  for (let n = 1; n <= count; n++) add(earlier, n);
  earlier.flush();
  storage.commit();
  return storage;
}

function add(duplicates: Duplicates, n: number): void {
  const [id, source] = [`id ${n}`, 1];
  const hash = duplicates.hash(source, id);
  duplicates.add({ hash, seq: 2 * n, source, id, length: 0, crc: 0 }, n, n);
}

function find(duplicates: Duplicates, n: number, newest: number): number | null {
  return duplicates.find(duplicates.hash(1, `id ${n}`), 1, `id ${n}`, 0, newest)?.seq ?? null;
}

test("nothing is read by the start, and a little at a time after it", () => {
  const duplicates = new Duplicates(filled(2500), LIMIT, 2);
  assert.equal(duplicates.size, 0);
  const sizes: number[] = [];
  while (duplicates.load()) sizes.push(duplicates.size);
  assert.deepEqual([...sizes, duplicates.size], [1000, 2000, 2500]);
  assert.equal(duplicates.load(), false);
  assert.equal(duplicates.size, 2500);
});

test("an id that isn't read yet is found", () => {
  const duplicates = new Duplicates(filled(2500), LIMIT, 2);
  duplicates.load();
  assert.equal(find(duplicates, 10, 5000), 20);
  assert.equal(duplicates.size, 1000, "what is read answers alone");
  assert.equal(find(duplicates, 2400, 5000), 4800);
  assert.equal(find(duplicates, 2501, 5000), null);
  assert.equal(duplicates.size, 2500);
});

test("what is added meanwhile, and taken back or forgotten, is counted once", () => {
  const storage = filled(2500);
  const duplicates = new Duplicates(storage, LIMIT, 2);
  duplicates.load();
  storage.begin();
  add(duplicates, 2501);
  assert.equal(duplicates.forget(1500, Number.MAX_SAFE_INTEGER), 1500);
  duplicates.flush();
  storage.commit();
  duplicates.committed();
  storage.begin();
  add(duplicates, 2502);
  storage.rollback();
  duplicates.rolledBack();
  while (duplicates.load());
  assert.equal(duplicates.size, 1001);
  assert.deepEqual(
    [1, 1500, 1501, 2500, 2501, 2502].map((n) => find(duplicates, n, 5004)),
    [null, null, 3002, 5000, 5002, null],
  );
});

test("what a transaction has added is found before it is a row, also behind seqs without an id, and not once it is taken back", () => {
  const storage = filled(10);
  const duplicates = new Duplicates(storage, LIMIT, 2);
  const found = () => [10, 11, 12, 15, 16].map((n) => find(duplicates, n, 40));
  storage.begin();
  for (const n of [11, 12, 15]) add(duplicates, n);
  assert.deepEqual(found(), [20, 22, 24, 30, null]);
  duplicates.dropAfter(24);
  assert.deepEqual(found(), [20, 22, 24, null, null]);
  add(duplicates, 16);
  assert.deepEqual(found(), [20, 22, 24, null, 32]);
  storage.rollback();
  duplicates.rolledBack();
  assert.equal(duplicates.size, 10);
});

test("ids that are remembered for long hold none back that are not", () => {
  const storage = openStorage({ file: ":memory:" });
  migrate(storage, 0);
  const duplicates = new Duplicates(storage, LIMIT, 1);
  const [hour, day] = [3_600_000, 86_400_000];
  const remember = (seq: number, time: number, ms: number) => {
    const [source, id] = [1, `${seq}`];
    const hash = duplicates.hash(source, id);
    duplicates.add({ hash, seq, source, id, length: 0, crc: 0 }, time, time + ms);
  };
  const within = (work: () => void) => {
    storage.begin();
    work();
    duplicates.flush();
    storage.commit();
    duplicates.committed();
  };
  const forget = (now: number) => {
    for (let looked = 1; looked > 0; ) within(() => (looked = duplicates.forget(7, now)));
    return storage
      .prepare("SELECT seq FROM dedupe ORDER BY seq")
      .all()
      .map(({ seq }) => Number(seq));
  };
  // One in ten is remembered for a day, the others for an hour; one a minute.
  within(() => {
    for (let n = 0; n < 300; n++) remember(n, n * 60_000, n % 10 === 0 ? day : hour);
  });
  const long = Array.from({ length: 30 }, (_, n) => n * 10);
  assert.deepEqual(
    forget(3 * hour),
    Array.from({ length: 300 }, (_, n) => n).filter((n) => n >= 120 || n % 10 === 0),
  );
  assert.deepEqual(forget(7 * hour), long);
  assert.equal(duplicates.size, 30);
  assert.deepEqual(
    forget(day + 2 * hour),
    long.filter((n) => n >= 120),
    "the next look through all of it",
  );
  assert.deepEqual(forget(3 * day), []);
});
