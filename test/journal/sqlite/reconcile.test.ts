import assert from "node:assert/strict";
import { test } from "node:test";
import { changedSpans, endedSpans, newSpans, resumeAt } from "../../../src/journal/sqlite/reconcile.ts";
import { definition } from "./subscription-kit.ts";

const startAt = (start: "now" | "beginning" | number) =>
  start === "now" ? 100 : start === "beginning" ? 9 : 50;
const route = (sources: string[], start: "now" | "beginning" | number = "now", name = "r") => ({
  route: name,
  sources,
  start,
});
const span = (after: number, until: number | null, sources: string[], counted = after) => ({
  after,
  until,
  sources,
  counted,
});

test("a new subscription begins where its start lies; older events count when they are read", () => {
  const routes = [route(["a"]), route(["b"], "beginning", "s")];
  assert.deepEqual(newSpans(definition({ routes }), 100, startAt), [
    { route: "r", spans: [span(100, null, ["a"])] },
    { route: "s", spans: [span(9, null, ["b"], 100)] },
  ]);
});

test("what didn't change is left alone", () => {
  const before = [{ route: "r", spans: [span(10, null, ["a", "b"])] }];
  const same = definition({ routes: [route(["b", "a"], "beginning")] });
  assert.deepEqual(changedSpans(before, same, 100, startAt, 90), before);
});

test("changed sources count from the reload on; what was owed before stays owed", () => {
  const before = [{ route: "r", spans: [span(10, null, ["a"])] }];
  const changed = definition({ routes: [route(["b"])] });
  assert.deepEqual(changedSpans(before, changed, 100, startAt, 90), [
    { route: "r", spans: [span(10, 100, ["a"]), span(100, null, ["b"])] },
  ]);
});

test("a removed route owes up to the reload, and accepts nothing twice when it comes back", () => {
  const ended = endedSpans([{ route: "r", spans: [span(10, null, ["a"])] }], 60);
  assert.deepEqual(ended, [{ route: "r", spans: [span(10, 60, ["a"])] }]);
  const back = definition({ routes: [route(["a"], "beginning")] });
  assert.deepEqual(changedSpans(ended, back, 100, startAt, 20), [
    { route: "r", spans: [span(10, 60, ["a"]), span(60, null, ["a"], 100)] },
  ]);
});

test("spans that are settled altogether are forgotten, but for the last", () => {
  const before = [{ route: "r", spans: [span(10, 20, ["a"]), span(20, 30, ["b"]), span(30, null, ["c"])] }];
  const changed = definition({ routes: [route(["d"])] });
  assert.deepEqual(changedSpans(before, changed, 100, startAt, 30), [
    { route: "r", spans: [span(30, 100, ["c"]), span(100, null, ["d"])] },
  ]);
});

test("a renamed route of a pushed subscription is the same account", () => {
  const before = [{ route: "old", spans: [span(10, null, ["a"])] }];
  assert.deepEqual(changedSpans(before, definition({ routes: [route(["a"])] }), 100, startAt, 90), [
    { route: "r", spans: [span(10, null, ["a"])] },
  ]);
});

test("a stream's new route begins at the reload, its removed one ends there", () => {
  const stream = definition({ kind: "stream", order: "seq", routes: [route(["b"], "beginning", "new")] });
  const before = [{ route: "old", spans: [span(10, null, ["a"])] }];
  assert.deepEqual(changedSpans(before, stream, 100, startAt, 90), [
    { route: "new", spans: [span(100, null, ["b"])] },
    { route: "old", spans: [span(10, 100, ["a"])] },
  ]);
});

test("one that is added back goes on where it was, or at its new start when nothing was owed", () => {
  const routes = [{ route: "r", spans: [span(10, 60, ["a"]), span(80, null, ["a"], 100)] }];
  assert.equal(resumeAt(40, 60, routes), 40);
  assert.equal(resumeAt(95, 60, routes), 80);
  assert.equal(resumeAt(70, 60, routes), 70);
});
