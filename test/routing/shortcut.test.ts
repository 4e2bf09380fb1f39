import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import jsonata from "jsonata";
import { compileShortcut, UNSURE } from "../../src/routing/shortcut.ts";
import type { Node } from "../../src/routing/syntax.ts";

const shortcut = (source: string) => compileShortcut(jsonata(source).ast() as unknown as Node);

test("paths, comparisons, and, or, $exists and $not need no JSONata", () => {
  const scope = { type: "x", body: { n: 81, s: "", o: {}, list: [{ a: 1 }], null: null } };
  const cases: [string, unknown][] = [
    ["body.n", 81],
    ["$.body.n", 81],
    ["$$.body.n", 81],
    ["body.missing.x", undefined],
    ["body.n > 80", true],
    ["80 <= body.n", true],
    ["body.missing > 80", undefined],
    ['type = "x" and body.n != 80', true],
    ["(body.s or body.o)", false],
    ["body.`null` = null", true],
    ["$exists(body.missing)", false],
    ["$not(body.s)", true],
    ["body.list", scope.body.list],
  ];
  for (const [source, expected] of cases) {
    assert.deepEqual(shortcut(source)?.(scope), expected, source);
  }
});

test("what JSONata would make a list of, or throw at, is left to it", () => {
  const scope = { body: { list: [{ a: 1 }], s: "a", n: 1, t: true } };
  for (const source of [
    "body.list.a",
    "body.s > 1",
    "body.t > 1",
    "body.list and true",
    "body.list = body.list",
  ]) {
    assert.equal(shortcut(source)?.(scope), UNSURE, source);
  }
});

test("anything more than that has no shortcut", () => {
  const sources = [
    "body.a[0]",
    "body.a[]",
    "body.*",
    "a & b",
    "$sum(a)",
    "a ? b : c",
    "(a; b)",
    "a.(b)",
    "{'a': b}",
  ];
  for (const source of sources) assert.equal(shortcut(source), null, source);
});

const names = ["a", "b", "length", "toString"];
const literal = fc.constantFrom("0", "1", "-1.5", '""', '"a"', '"b"', "true", "false", "null");
const path = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
  .chain((steps) => fc.constantFrom("", "$.", "$$.").map((root) => root + steps.join(".")));
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    path,
    literal,
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom("=", "!=", "<", "<=", ">", ">=", "and", "or"),
        tie("expression"),
      )
      .map(([left, operator, right]) => `(${left}) ${operator} (${right})`),
    tie("expression").map((inner) => `$exists(${inner})`),
    tie("expression").map((inner) => `$not(${inner})`),
    tie("expression").map((inner) => `(${inner})`),
  ),
}));
const scalar = fc.oneof(
  fc.constantFrom(null, true, false, 0, 1, -1.5, "", "a", "b"),
  fc.constant(JSON.parse("1e999")),
);
const { data } = fc.letrec<{ data: unknown }>((tie) => ({
  data: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.dictionary(fc.constantFrom(...names), tie("data"), { maxKeys: 3 }),
    fc.array(tie("data"), { maxLength: 3 }),
  ),
}));
const scope = fc.dictionary(fc.constantFrom(...names), data, { maxKeys: 4 });

test("a shortcut gives what JSONata gives, or leaves it to JSONata", async () => {
  let decided = 0;
  await fc.assert(
    fc.asyncProperty(expression, scope, async (source, input) => {
      const compiled = shortcut(source);
      if (compiled === null) return;
      const quick = compiled(input);
      if (quick === UNSURE) return;
      decided++;
      assert.deepEqual(quick, await jsonata(source).evaluate(input), source);
    }),
    { numRuns: 5000 },
  );
  // The comparison is of no worth where everything was left to JSONata.
  assert.ok(decided > 2000, `only ${decided} were decided`);
});
