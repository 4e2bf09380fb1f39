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
  const stream = definition({ kind: "stream", order: "seq", routes: [route(["b"], "now", "new")] });
  const before = [{ route: "old", spans: [span(10, null, ["a"])] }];
  assert.deepEqual(changedSpans(before, stream, 100, startAt, 90), [
    { route: "new", spans: [span(100, null, ["b"])] },
    { route: "old", spans: [span(10, 100, ["a"])] },
  ]);
});

test("what a route brings of the past to a stream is for its index, and isn't where the stream goes on", () => {
  const routes = [route(["a"], "now", "old"), route(["b"], "beginning", "new")];
  const stream = definition({ kind: "stream", order: "seq", routes });
  const before = [{ route: "old", spans: [span(10, null, ["a"])] }];
  const joined = { route: "new", spans: [span(9, null, ["b"], 100)], unindexed: { after: 9, through: 100 } };
  const after = changedSpans(before, stream, 100, startAt, 90);
  assert.deepEqual(after, [...before, joined]);
  assert.deepEqual(changedSpans(after, stream, 120, startAt, 110), after, "another reload leaves it alone");
  assert.equal(resumeAt(120, 110, after), 10, "the old one's start, not the joined one's");
});

test("a route that comes back to a stream which went on brings what came meanwhile, if it asks for it", () => {
  const stream = (start: "now" | "beginning") =>
    definition({
      kind: "stream",
      order: "seq",
      routes: [route(["a"], "now", "on"), route(["b"], start, "off")],
    });
  const before = [
    { route: "on", spans: [span(10, null, ["a"])] },
    { route: "off", spans: [span(10, 60, ["b"])] },
  ];
  assert.deepEqual(changedSpans(before, stream("now"), 100, startAt, 90)[1], {
    route: "off",
    spans: [span(10, 60, ["b"]), span(100, null, ["b"])],
  });
  assert.deepEqual(changedSpans(before, stream("beginning"), 100, startAt, 90)[1], {
    route: "off",
    spans: [span(10, 60, ["b"]), span(60, null, ["b"], 100)],
    unindexed: { after: 60, through: 100 },
  });
});

test("one that is added back goes on where it was, or at its new start when nothing was owed", () => {
  const routes = [{ route: "r", spans: [span(10, 60, ["a"]), span(80, null, ["a"], 100)] }];
  assert.equal(resumeAt(40, 60, routes), 40);
  assert.equal(resumeAt(95, 60, routes), 80);
  assert.equal(resumeAt(70, 60, routes), 70);
});
