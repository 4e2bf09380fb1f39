/**
 * Expressions and events that mean harm. For each: the process lives, the main thread has a turn soon, memory has a
 * bound, the outcome says why, and the next expression works.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { EvaluationError, type EvaluationFault } from "../../src/routing/evaluation-error.ts";
import { compileExpression } from "../../src/routing/expression.ts";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { eventView } from "../../src/routing/view.ts";
import { event } from "./events.ts";

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

const A = (count: number) => "a".repeat(count);
const fold = (from: string, step: string) =>
  `($f := function($x, $n) { $n = 0 ? $x : $f(${step}, $n - 1) }; ${from})`;

const body = {
  width: 3e8,
  text: A(60_000),
  evil: `${A(50_000)}!`,
  items: Array.from({ length: 50 }, (_, n) => n),
};

const cases: [what: string, source: string, fault: EvaluationFault | "fine", message: RegExp][] = [
  ["a width of 3e8", '$pad("x", 3e8)', "limit", /a text would be longer than/],
  ["a width to the left", '$pad("x", -3e8, "ab")', "limit", /a text would be longer than/],
  ["a width from the event", '$pad("x", body.width)', "limit", /a text would be longer than/],
  ["a width in a partial application", '($p := $pad("x", ?); $p(3e8))', "limit", /a text would be longer/],
  ["a huge picture", '$formatNumber(1, $pad("#", 100000, "#"))', "expression", /a picture may have 256/],
  ["a picture of zeros", '$formatNumber(1, $pad("0", 100000, "0"))', "expression", /a picture may have 256/],
  ["an empty separator", '$formatNumber(1, "0", {"grouping-separator": ""})', "expression", /one character/],
  [
    "an empty zero",
    '$formatNumber(0, "0", {"zero-digit": "", "decimal-separator": ""})',
    "expression",
    /one char/,
  ],
  [
    "a huge picture of an integer",
    '$formatInteger(1, $pad("0", 100000, "0"))',
    "expression",
    /a picture may/,
  ],
  ["letters of infinity", '$formatInteger(1e308 * 10, "a")', "expression", /a finite number/],
  ["Roman numerals of a billion", '$formatInteger(1e9, "I")', "expression", /up to 1000000/],
  ["a date's width", '$fromMillis(0, "[Y,1000000000]")', "expression", /one or two digits/],
  ["a date's width in hexadecimal", '$fromMillis(0, "[Y,0x7fffffff]")', "expression", /one or two digits/],
  ["a date's width in $now", '$now("[Y,99999999]")', "expression", /one or two digits/],
  [
    "a date's picture that backtracks",
    `$toMillis("${A(120)}!", "[Ya]a[Ma]a[Da]a[Ha]a[ma]a[sa]")`,
    "expression",
    /must be followed by what can't be part of it/,
  ],
  ["a range", "[1..1e9]", "limit", /1e7|sequence/],
  ["a range below JSONata's own bound", "[1..9999999]", "limit", /sequence/],
  ["ranges in ranges", "[1..5000].[1..5000].[1..5000]", "timeout", /200 ms|didn't end/],
  ["doubled text", fold('$f("ab", 60)', "$x & $x"), "limit", /a text would be longer than/],
  ["doubled lists", fold("$f(1, 60)", "[[$x], [$x]]"), "limit", /builds more than \d+ values/],
  ["doubled objects", fold("$f(1, 60)", '{"a": $x, "b": $x}'), "limit", /builds more than \d+ values/],
  [
    "doubled lists as text",
    fold("$string($f(1, 60))", "[[$x], [$x]]"),
    "limit",
    /builds more than \d+ values/,
  ],
  ["doubled lists by $zip", fold("$f([1], 60)", "$zip([$x], [$x])"), "limit", /builds more than \d+ values/],
  ["lists appended to themselves", fold("$f([1, 2], 60)", "$append($x, $x)"), "limit", /sequence|items/],
  ["a join with a long separator", "$join([1..5000].('x'), body.text)", "limit", /a text would be longer/],
  ["a replacement that grows", '$replace(body.text, "a", body.text)', "limit", /a text would be longer/],
  [
    "a replacement by groups",
    '$replace(body.text, /a/, $pad("$0", 20000, "$0"))',
    "limit",
    /a text would be/,
  ],
  ["a split to single characters", '$split(body.text & body.text, "")', "limit", /more than 100000 items/],
  ["infinite recursion in the tail", "($f := function($x) { $f($x) }; $f(1))", "timeout", /200 ms/],
  ["infinite recursion", "($f := function($x) { 1 + $f($x) }; $f(1))", "expression", /recursi/],
  ["recursion that branches", "($f := function($n) { $f($n) + $f($n) }; $f(1))", "expression", /recursi/],
  [
    "work beside what fails",
    '{"a": $error("first"), "b": ($f := function($x) { $f($x) }; $f(1))}',
    "expression",
    /first/,
  ],
  ["native functions in a loop", '$map([1..9999], $pad(?, 100000, "xy"))', "limit", /./],
  ["memory in a loop", "$map([1..100000], function($i) { [1..100000] })", "timeout", /./],
  ["a sort of what can't be sorted fast", "[1..90000]^(>$)", "timeout", /200 ms/],
  ["a regular expression that would double", "$match(body.evil, /^(a+)+$/)", "fine", /./],
  ["one with groups in groups", "$match(body.evil, /((a{0,20}){0,20})*$/)", "fine", /./],
  ["one in $replace", '$replace(body.evil, /(a|aa)+$/, "x")', "fine", /./],
  ["one in $split", "$split(body.evil, /(a+)+$/)", "fine", /./],
  ["one in $contains", "$contains(body.evil, /(a*)*$/)", "fine", /./],
  ["an empty match", "$match(body.text, /a*?/)", "expression", /zero length/],
];

for (const [what, source, fault, message] of cases) {
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
