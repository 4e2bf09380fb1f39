/**
 * Expressions and events that mean harm. For each: the process lives, the main thread has a turn soon, memory has a
 * bound, the outcome says why, and the next expression works.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { EvaluationError } from "../../src/routing/evaluation-error.ts";
import { compileExpression } from "../../src/routing/expression.ts";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { eventView } from "../../src/routing/view.ts";
import { event } from "./events.ts";
import { hostileBody as body, hostileCases } from "./hostile-cases.ts";

after(stopIsolation);

/** The longest that the main thread was kept by one turn, by its own processor time: others' load doesn't count. */
async function longestTurn(act: () => Promise<void>): Promise<number> {
  const used = () => process.threadCpuUsage().user / 1000;
  let [longest, last] = [0, used()];
  const look = () => {
    const now = used();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await act();
    look();
  } finally {
    clearInterval(timer);
  }
  return longest;
}

const MAX_TURN_MS = 50;
/** The worker's heap, what is outside of it, and this test itself. */
const MAX_RSS_MIB = 800;
/** The worker's 200 ms, or 500 where it hangs, its start, and a busy machine. */
const MAX_MS = 5_000;

for (const [what, source, fault, message] of hostileCases) {
  test(`${what} hurts nobody`, async () => {
    const scope = eventView(event({ body }), "auto");
    const expression = compileExpression(source);
    const started = performance.now();
    let outcome: unknown;
    const turn = await longestTurn(async () => {
      try {
        outcome = await expression.evaluate(scope);
      } catch (error) {
        outcome = error;
      }
    });
    if (fault === "fine") {
      if (outcome instanceof EvaluationError) assert.equal(outcome.fault, "timeout");
    } else {
      assert.ok(
        outcome instanceof EvaluationError,
        `it gave ${String(JSON.stringify(outcome)).slice(0, 80)}`,
      );
      // What ends a loop first, the time or the memory, is for the machine to say.
      const ended = ["timeout", "memory", "limit"];
      if (ended.includes(fault)) assert.ok(ended.includes(outcome.fault), outcome.fault);
      else assert.equal(outcome.fault, fault, outcome.message);
      if (fault !== "timeout" && outcome.fault === fault) assert.match(outcome.message, message);
    }
    assert.ok(turn < MAX_TURN_MS, `the main thread was kept for ${turn.toFixed(0)} ms`);
    assert.ok(performance.now() - started < MAX_MS);
    const rss = process.resourceUsage().maxRSS / 1024;
    assert.ok(rss < MAX_RSS_MIB, `the process took ${rss.toFixed(0)} MiB`);
    assert.equal(await compileExpression('"still " & "here"').evaluate(scope), "still here");
  });
}

test("an event full of what an expression walks over can't keep the main thread", async () => {
  const wide = Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`k${n}`, [n]]));
  const deep = Buffer.from(`${"[".repeat(200_000)}${"]".repeat(200_000)}`);
  const scopes = [eventView(event({ body: wide }), "auto"), eventView(event({ bytes: deep }), "auto")];
  for (const scope of scopes) {
    for (const source of [
      "$count(body.*)",
      "$count(**)",
      "$string(body)",
      "$spread(body)",
      "$boolean(body)",
      "body = 1",
    ]) {
      const turn = await longestTurn(async () => {
        await Promise.resolve(compileExpression(`(${source}; 1)`).evaluate(scope)).catch((error) => {
          assert.ok(error instanceof EvaluationError);
        });
      });
      assert.ok(turn < MAX_TURN_MS, `${source} kept the main thread for ${turn.toFixed(0)} ms`);
    }
  }
});

test("ten loops at once leave turns to others, and all end", async () => {
  const scope = eventView(event({ body }), "auto");
  const loop = compileExpression("($f := function($x) { $f($x) }; $f(1))");
  const turn = await longestTurn(async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, async () => loop.evaluate(scope)));
    assert.ok(outcomes.every((outcome) => outcome.status === "rejected"));
  });
  assert.ok(turn < MAX_TURN_MS, `the main thread was kept for ${turn.toFixed(0)} ms`);
});

test("an expression that overran three times goes to the worker at once", async () => {
  const scope = eventView(event({ body }), "auto");
  const loop = compileExpression("($f := function($x) { $f($x) }; $f(body.n))");
  for (let time = 0; time < 3; time++)
    await assert.rejects(async () => loop.evaluate(scope), EvaluationError);
  const used = process.threadCpuUsage().user;
  await assert.rejects(async () => loop.evaluate(scope), EvaluationError);
  assert.ok((process.threadCpuUsage().user - used) / 1000 < 8);
});
