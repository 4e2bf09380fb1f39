import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import jsonata from "jsonata";
import { WORKER_LIMITS } from "../../src/routing/budget.ts";
import { compileProgram } from "../../src/routing/program.ts";

/** JSONata's own answer as plain data; or that it threw. */
async function own(source: string, input: object): Promise<unknown> {
  try {
    const value = await jsonata(source).evaluate(input);
    return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
  } catch {
    return "(threw)";
  }
}

const programs = new Map<string, ReturnType<typeof compileProgram>>();

async function bounded(source: string, input: object): Promise<unknown> {
  let program = programs.get(source);
  if (program === undefined) programs.set(source, (program = compileProgram(source)));
  try {
    return await program.run(input, WORKER_LIMITS);
  } catch {
    return "(threw)";
  }
}

const text = fc.string({ unit: fc.constantFrom("a", "b", ",", "é", "😀", "$", "1"), maxLength: 8 });
const width = fc.oneof(fc.integer({ min: -12, max: 12 }), fc.constantFrom(1.5, -2.5));
const limit = fc.integer({ min: 0, max: 4 });
const item = fc.oneof(
  fc.constantFrom<unknown>(1, 2, 0.1, "a", "b", true, null),
  fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom(1, 2)),
  fc.array(fc.constantFrom(1, 2), { maxLength: 2 }),
);
const input = fc.record(
  {
    s: text,
    t: text,
    u: text,
    n: width,
    m: width,
    k: limit,
    numbers: fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 6 }),
    texts: fc.array(text, { maxLength: 6 }),
    items: fc.array(item, { maxLength: 6 }),
    object: fc.dictionary(fc.constantFrom("a", "b"), item),
  },
  { requiredKeys: [] },
);

const sources = [
  "$pad(s, n)",
  "$pad(s, n, t)",
  "$length(s)",
  "$substring(s, n)",
  "$substring(s, n, m)",
  "$join(texts)",
  "$join(texts, t)",
  "$split(s, t)",
  "$split(s, t, k)",
  "$split(s, /[ab]/)",
  "$split(s, /[ab]/, k)",
  "$replace(s, t, u)",
  "$replace(s, t, u, k)",
  "$replace(s, /(a)(b)?/, u)",
  '$replace(s, /(a)(b)?/, "[$1$2$0$$]", k)',
  "$replace(s, /[a1]/, function($m) { $m.match & t })",
  "$match(s, /(a)|b/)",
  "$match(s, /(a)(b)?/, k)",
  "$contains(s, /A/i)",
  "$string(items)",
  "$string(object)",
  "$string(items, true)",
  "$string(0.1 + 0.2)",
  "$max(numbers)",
  "$min(numbers)",
  "$distinct(items)",
  "$distinct(numbers)",
  "$spread(object)",
  "$spread(items)",
  "$sort(numbers)",
  "$sort(texts)",
  "$sort(items)",
  "$sort(numbers, function($a, $b) { $a < $b })",
  "numbers ~> $map($string) ~> $join(t)",
  "$map(texts, $length)",
  "($f := $pad(?, n, t); $f(s))",
  "($f := $join(?, t); $f(texts))",
  "$formatNumber(n, '#,##0.00')",
  "$formatInteger(k, 'w')",
  "$formatBase(k, 2)",
  "$encodeUrlComponent(s)",
  "object ~> | $ | {'c': 1} |",
  "items[a = 1].b",
  "items^(a)",
  "$reduce(numbers, function($a, $b) { $a + $b })",
  "object.*",
  "**.a",
  "$keys(object)",
  "$boolean(items)",
];

for (const source of sources) {
  test(`${source} is what JSONata makes of it`, async () => {
    await fc.assert(
      fc.asyncProperty(input, async (data) => {
        assert.deepEqual(await bounded(source, data), await own(source, data));
      }),
      { numRuns: 200 },
    );
  });
}

test("dates are read and written as JSONata does", async () => {
  const cases = [
    "$fromMillis(1510067557121)",
    '$fromMillis(1510067557121, "[M01]/[D01]/[Y0001] [h#1]:[m01][P]", "-0500")',
    '$fromMillis(1510067557121, "[FNn], [D1o] [MNn] [Y]")',
    '$toMillis("2017-11-07T15:12:37.121Z")',
    '$toMillis("2017-11-07T15:12:37.121+01:00", "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01]")',
    '$toMillis("20171107", "[Y0001][M01][D01]")',
    '$toMillis("7 November 2017", "[D] [MNn] [Y]")',
    '$toMillis("11/07/2017 3:12pm", "[M01]/[D01]/[Y0001] [h#1]:[m01][P]")',
    '$parseInteger("twelve thousand, four hundred and seventy-six", "w")',
  ];
  for (const source of cases) assert.deepEqual(await bounded(source, {}), await own(source, {}), source);
  assert.equal(typeof (await bounded("$now()", {})), "string");
  assert.match(String(await bounded('$now("[Y0001]-[M01]")', {})), /^\d{4}-\d\d$/);
});
