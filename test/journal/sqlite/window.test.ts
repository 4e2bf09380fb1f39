import assert from "node:assert/strict";
import test from "node:test";
import { Window } from "../../../src/journal/sqlite/window.ts";

const item = (seq: number) => ({ seq, place: -1 });

test("a window has its items in seq order, whichever of them go", () => {
  const window = new Window<ReturnType<typeof item>>();
  const items = Array.from({ length: 5 }, (_, at) => item(at * 10));
  for (const each of items) window.push(each);
  window.delete(items[2]!);
  window.delete(items[0]!);
  window.delete(items[0]!);
  assert.equal(window.size, 3);
  assert.equal(window.first, items[1]);
  assert.deepEqual(
    [...window].map(({ seq }) => seq),
    [10, 30, 40],
  );
  assert.equal(window.get(30), items[3]);
  assert.equal(window.get(20), undefined);
  assert.equal(window.get(50), undefined);
});

test("items may go while the window is walked, and come back once it was empty", () => {
  const window = new Window<ReturnType<typeof item>>();
  const items = Array.from({ length: 3 }, (_, at) => item(at));
  for (const each of items) window.push(each);
  for (const each of window) window.delete(each);
  assert.equal(window.size, 0);
  assert.equal(window.first, undefined);
  window.push(items[0]!);
  assert.equal(window.first, items[0]);
});

test("a window that never empties keeps its place through thousands of items", () => {
  const window = new Window<ReturnType<typeof item>>();
  const open: ReturnType<typeof item>[] = [];
  for (let seq = 0; seq < 10_000; seq++) {
    const each = item(seq);
    window.push(each);
    open.push(each);
    if (open.length > 7) window.delete(open.splice(seq % 7, 1)[0]!);
  }
  assert.deepEqual([...window], open);
  assert.equal(window.first, open[0]);
  for (const each of open) assert.equal(window.get(each.seq), each);
});
