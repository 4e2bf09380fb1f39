import assert from "node:assert/strict";
import { after, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import jsonata from "jsonata";
import { LeatError } from "../../src/errors.ts";
import { EvaluationError } from "../../src/routing/evaluation-error.ts";
import { compileExpression } from "../../src/routing/expression.ts";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { ExpressionSyntaxError } from "../../src/routing/program.ts";
import { eventView } from "../../src/routing/view.ts";
import { event } from "./events.ts";

after(stopIsolation);

const view = (body: unknown) => eventView(event({ body }), "auto");

test("what needs no JSONata is there at once, everything else is a promise", async () => {
  const scope = view({ celsius: 81, list: [{ a: 1 }, { a: 2 }] });
  assert.equal(compileExpression("body.celsius > 80").evaluate(scope), true);
  const sum = compileExpression("$sum(body.list.a)").evaluate(scope);
  assert.ok(sum instanceof Promise);
  assert.equal(await sum, 3);
  assert.deepEqual(await compileExpression("body.list.a").evaluate(scope), [1, 2]);
});

test("a result is plain data: lists are lists, nothing is undefined", async () => {
  const scope = view({ list: [{ a: 1 }, { a: 2 }] });
  const list = await compileExpression("body.list[a > 0].{'b': a}").evaluate(scope);
  assert.deepEqual(list, [{ b: 1 }, { b: 2 }]);
  assert.deepEqual(Object.keys(list as object), ["0", "1"]);
  assert.equal(await compileExpression("body.list[a > 5]").evaluate(scope), undefined);
});

test("a result that is no data is refused", async () => {
  for (const source of ["$sum", "function($x) { $x }", "[1, $uppercase]", "{'a': /x/}", "1 / 0", "[0 / 0]"]) {
    await assert.rejects(
      async () => compileExpression(source).evaluate(view({})),
      (error) => error instanceof EvaluationError && error.fault === "result",
      source,
    );
  }
});

const mistakes: [string, RegExp, number | null][] = [
  ["body.a >", /Unexpected end of expression/, null],
  ["body..a", /./, null],
  ["type = = 1", /=/, 7],
  ['"open', /quote/, null],
  ["$eval('1')", /\$eval is not available/, 1],
  ["(body.x; $y := $eval)", /\$eval is not available/, 16],
  ["$match(type, /(?=a)/)", /can't be used.*Perl syntax/, null],
  ["$match(type, /(a)\\1/)", /can't be used/, null],
  ["/(/", /./, null],
  ["", /./, null],
  ["(".repeat(20_000), /./, null],
];
for (const [source, message, offset] of mistakes) {
  test(`a mistake in an expression is reported: ${source.slice(0, 40)}`, () => {
    assert.throws(
      () => compileExpression(source),
      (error) => {
        assert.ok(error instanceof ExpressionSyntaxError);
        assert.equal(error.kind, "configuration");
        assert.match(error.message, message);
        assert.notEqual(error.hint, undefined);
        if (offset !== null) assert.equal(error.offset, offset);
        return true;
      },
    );
  });
}

test("no path reaches an object's prototype", async () => {
  for (const source of [
    "body.__proto__",
    "body.constructor.name",
    'a."prototype"',
    "body.list[constructor = 1]",
  ]) {
    assert.throws(
      () => compileExpression(source),
      (error) => error instanceof LeatError && error.code === "path_reserved",
    );
  }
  const scope = view({});
  assert.equal(await compileExpression("$lookup(body, 'constructor')").evaluate(scope), undefined);
  assert.equal(await compileExpression("body.toString").evaluate(scope), undefined);
  const polluting = eventView(event({ bytes: Buffer.from('{"__proto__":{"polluted":1},"a":1}') }), "auto");
  for (const source of ["$merge([body, {'b': 1}])", "body ~> |$|{'c': 1}|", "body{a: $}", "$spread(body)"]) {
    await compileExpression(source.replace("a: $", '"k": $')).evaluate(polluting);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
  }
  const merged = await compileExpression("$merge([body, {'b': 1}])").evaluate(polluting);
  assert.equal(Object.getPrototypeOf(merged), Object.prototype);
});

test("data that bears JSONata's own marks isn't given to it", async () => {
  for (const mark of ["tupleStream", "_jsonata_lambda", "_jsonata_function"]) {
    const bodies = [
      JSON.stringify({ x: [{ [mark]: true }] }),
      `{"x":{"\\u00${mark.charCodeAt(0).toString(16)}${mark.slice(1)}":true}}`,
    ];
    for (const body of bodies) {
      const scope = eventView(event({ bytes: Buffer.from(body) }), "auto");
      await assert.rejects(
        async () => compileExpression('{ "y": $count(body.x) }').evaluate(scope),
        (error) => error instanceof EvaluationError && error.message.includes(mark),
      );
    }
  }
  const form = event({
    bytes: Buffer.from("%74upleStream=1"),
    contentType: "application/x-www-form-urlencoded",
  });
  await assert.rejects(
    async () => compileExpression("$count(body)").evaluate(eventView(form, "auto")),
    /tupleStream/,
  );
});

test("a body that isn't JSON where one is wanted fails with what is wrong with it", async () => {
  const scope = eventView(event({ bytes: Buffer.from("{oops") }), "auto");
  for (const source of ["body.a > 1", "$sum(body.a)"]) {
    await assert.rejects(
      async () => compileExpression(source).evaluate(scope),
      (error) => error instanceof EvaluationError && /^the body is not JSON: /.test(error.message),
    );
  }
  assert.equal(compileExpression('type = "x"').evaluate(scope), false);
});

test("a header's path is read as `match` reads it, dashes and all", () => {
  const scope = eventView(event({ headers: [["X-Request-Id", "r1"]] }), "auto");
  for (const source of ["headers.x-request-id", "headers.X-Request-Id", " headers.x-request-id "]) {
    assert.equal(compileExpression(source).evaluate(scope), "r1");
  }
  const absent = compileExpression("headers.x-other");
  assert.equal(absent.evaluate(scope), undefined);
  assert.ok(absent.misses(scope));
});

test("a header's dash that JSONata would take for minus is an error with the remedy", () => {
  for (const source of [
    'headers.x-id & "/" & body.id',
    "$exists(cause.headers.x-request-id)",
    "$.headers.a-1",
  ]) {
    assert.throws(
      () => compileExpression(source),
      (error) =>
        error instanceof ExpressionSyntaxError && /backticks/.test(error.hint ?? "") && error.offset !== null,
    );
  }
  const scope = eventView(event({ headers: [["x-id", "7"]] }), "auto");
  assert.equal(compileExpression('headers.`x-id` = "7"').evaluate(scope), true);
  assert.doesNotThrow(() => compileExpression("$number(headers.n) - 1 + body.headers.n - 1"));
});

test("no error quotes the event, nor does a cause of it", async () => {
  const secret = "cardnumber4111";
  const scopes = [
    ["body.a", Buffer.from(secret)],
    ["body.a", Buffer.from(`{"pan": ${secret}}`)],
    ["$sum(body.a)", Buffer.from(`{"pan": "${secret}"`)],
    ["$number(body.pan)", Buffer.from(`{"pan": "${secret}"}`)],
    ["body.pan + 1", Buffer.from(`{"pan": "${secret}"}`)],
    ["body.pan < body.n", Buffer.from(`{"pan": "${secret}", "n": 1}`)],
    ["-body.pan", Buffer.from(`{"pan": "${secret}"}`)],
    ["$toMillis(body.pan)", Buffer.from(`{"pan": "${secret}"}`)],
    ["$decodeUrl(body.pan)", Buffer.from(`{"pan": "%E0${secret}"}`)],
    ["[body.pan, body.n]^($)", Buffer.from(`{"pan": "${secret}", "n": 1}`)],
  ] as const;
  for (const [source, bytes] of scopes) {
    await assert.rejects(
      async () => compileExpression(source).evaluate(eventView(event({ bytes }), "auto")),
      (error) => {
        assert.ok(error instanceof EvaluationError, source);
        assert.ok(!inspect(error).includes(secret), inspect(error));
        return true;
      },
    );
  }
});

test("an error of JSONata says what and where", async () => {
  await assert.rejects(
    async () => compileExpression('$sum(body.a) + "x"').evaluate(view({ a: [1] })),
    /The right side of the "\+" operator must evaluate to a number \(at character \d+\)/,
  );
  await assert.rejects(
    async () => compileExpression('body.a > "x"').evaluate(view({ a: 1 })),
    EvaluationError,
  );
  await assert.rejects(async () => compileExpression('$error("no")').evaluate(view({})), /no/);
});

test("an event too large for the main thread is evaluated in the worker, with its cause", async () => {
  const cause = eventView(event({ body: { user: 42 } }), "auto");
  const large = event({ body: { items: Array.from({ length: 20_000 }, (_, n) => ({ n })) } });
  const scope = eventView(large, "auto", cause);
  const source =
    '{ "n": $sum(body.items.n), "user": cause.body.user, "id": id, "type": headers.`content-type` }';
  assert.deepEqual(await compileExpression(source).evaluate(scope), {
    n: 199_990_000,
    user: 42,
    id: large.id,
    type: "application/json",
  });
});

test("many evaluations at once are not held against each other", async () => {
  const expression = compileExpression("$sum([1..500]) + body.n");
  const results = await Promise.all(
    Array.from({ length: 300 }, async (_, n) => expression.evaluate(view({ n }))),
  );
  assert.deepEqual(
    results,
    results.map((_, n) => 125_250 + n),
  );
});

test("a where that asks for an absent path misses it, and one that was not reached is not missed", () => {
  const scope = view({ a: 1, list: [{ x: 1 }] });
  const cases: [string, boolean][] = [
    ["body.b > 1", true],
    ["body.a > 1", false],
    ["(body.b)", true],
    ['type = "other" and body.b > 1', false],
    ['type = "payment_intent.succeeded" and body.b > 1', true],
    ["body.b or body.c", true],
    ["body.b or body.a > 1", false],
    ["$exists(body.b)", false],
    ["body.list.x > 1", false],
    ["body.list.y > 1", true],
    ['$contains(body.b, "x")', true],
    ["$count(body.list[y > 1]) > 0", false],
  ];
  for (const [source, expected] of cases) {
    assert.equal(compileExpression(source).misses(scope), expected, source);
  }
});

test("any expression over any data gives what JSONata gives", async () => {
  const name = fc.constantFrom("a", "b", "c");
  const expression = fc
    .tuple(name, name, fc.constantFrom(...["=", "<", "&", "in", "+", "and"]), name)
    .chain(([a, b, operator, c]) =>
      fc.constantFrom(
        `${a}.${b} ${operator} ${c}`,
        `${a}[${b} ${operator} ${c}]`,
        `${a}.{'x': ${b}, 'y': ${c}}`,
        `[${a}, ${b}.${c}]`,
        `${a} ? ${b} : ${c}`,
        `$map(${a}, function($v) { $v.${b} })`,
        `${a}.*.${b}`,
        `**.${c}`,
        `${a}{${b}: ${c}}`,
      ),
    );
  const { data } = fc.letrec<{ data: unknown }>((tie) => ({
    data: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(null, true, 0, 1, "", "a"),
      fc.dictionary(name, tie("data"), { maxKeys: 3 }),
      fc.array(tie("data"), { maxLength: 3 }),
    ),
  }));
  await fc.assert(
    fc.asyncProperty(expression, fc.dictionary(name, data), async (source, scope) => {
      let expected: unknown;
      try {
        const value = await jsonata(source).evaluate(scope);
        expected = value === undefined ? undefined : JSON.parse(JSON.stringify(value));
      } catch {
        await assert.rejects(async () => compileExpression(source).evaluate(scope), EvaluationError);
        return;
      }
      assert.deepEqual(await compileExpression(source).evaluate(scope), expected, source);
    }),
    { numRuns: 1000 },
  );
});
