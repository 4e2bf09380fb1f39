import assert from "node:assert/strict";
import { after, test } from "node:test";
import { EvaluationError } from "../../src/routing/evaluation-error.ts";
import { evaluateIsolated, stopIsolation } from "../../src/routing/isolation.ts";
import { eventView } from "../../src/routing/view.ts";
import { event } from "./events.ts";

after(stopIsolation);

const LOOP = "($f := function($x) { $f($x) }; $f(1))";
/** One step that doesn't end by itself in time. */
const HANG = '($x := $pad("a", 4000000, "a"); $count($match($x & "b", /((a{0,30}){0,30})*c?$/)))';

test("evaluations come back each with its own result, in whatever order they were asked for", async () => {
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, n) => evaluateIsolated(`$sum([1..${n + 1}])`, {})),
  );
  assert.deepEqual(
    results,
    results.map((_, n) => ((n + 1) * (n + 2)) / 2),
  );
});

test("an event's small slice of a large buffer arrives as that slice", async () => {
  const slab = Buffer.alloc(64 * 1024, "x");
  slab.write('{"a":1}', 100);
  const view = eventView(event({ bytes: slab.subarray(100, 107) }), "auto");
  assert.equal(await evaluateIsolated("body.a", view), 1);
});

test("a loop ends after 200 ms, and those that wait behind it are evaluated", async () => {
  const started = performance.now();
  const loop = assert.rejects(
    evaluateIsolated(LOOP, {}),
    (error) => error instanceof EvaluationError && error.fault === "timeout",
  );
  const behind = evaluateIsolated('"behind"', {});
  await loop;
  assert.ok(performance.now() - started >= 195);
  assert.equal(await behind, "behind");
});

test("a step that doesn't end is ended with its thread, and those that wait go to the next one", async () => {
  const hang = evaluateIsolated(HANG, {});
  const behind = evaluateIsolated('"behind"', {});
  await assert.rejects(hang, (error) => error instanceof EvaluationError && error.fault === "timeout");
  assert.equal(await behind, "behind");
});

test("what can't be copied to another thread fails alone", async () => {
  await assert.rejects(
    evaluateIsolated("1", { f: () => 1 }),
    (error) => error instanceof EvaluationError && error.fault === "expression",
  );
  assert.equal(await evaluateIsolated("1", {}), 1);
});

test("stopping rejects what waits, as no outcome of its own, and a later evaluation starts anew", async () => {
  const loops = [evaluateIsolated(LOOP, {}), evaluateIsolated(LOOP, {})].map((loop) =>
    assert.rejects(loop, (error) => error instanceof EvaluationError && error.fault === "stopped"),
  );
  await stopIsolation();
  await Promise.all(loops);
  assert.equal(await evaluateIsolated("1 + 1", {}), 2);
});
