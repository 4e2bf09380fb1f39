import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { LeatError } from "../../src/errors.ts";
import type { Event } from "../../src/event.ts";
import type { RoutePlan, TargetPlan } from "../../src/plan.ts";
import type { Prepared } from "../../src/prepared.ts";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { compileRoute, type TargetWatch } from "../../src/routing/route.ts";
import { event } from "./events.ts";

after(stopIsolation);

function compile(route: Partial<RoutePlan>, target: Partial<TargetPlan> = {}, watch: TargetWatch = {}) {
  const plan: RoutePlan = { name: "r", from: ["stripe"], match: null, where: null, to: [], ...route };
  const to: TargetPlan = {
    sink: "s",
    subscription: "r/s",
    was: null,
    start: "now",
    transform: null,
    templates: {},
    policy: null,
    ...target,
  };
  return compileRoute(plan, to, () => "auto", watch);
}

async function prepare(
  route: Partial<RoutePlan>,
  target: Partial<TargetPlan>,
  one: Event,
  cause: Event | null = null,
): Promise<Prepared> {
  return compile(route, target).prepare(one, cause);
}

const text = (prepared: Prepared) =>
  prepared.result === "message" ? Buffer.from(prepared.body).toString() : JSON.stringify(prepared);

test("a replay into a stream, which is an event of leat, is matched by no route", async () => {
  const from = { from: ["leat"] };
  const replay = event({ source: "leat", type: "leat.replay" });
  assert.deepEqual(await prepare(from, {}, replay), { result: "filtered", reason: "match" });
  assert.equal((await prepare(from, {}, event({ source: "leat", type: "leat.dead" }))).result, "message");
});

test("without a transform the bytes and their content type pass untouched", async () => {
  const one = event({ bytes: new Uint8Array([0, 255, 1]), contentType: "Application/X-Thing; a=b" });
  const prepared = await prepare({}, {}, one);
  assert.ok(prepared.result === "message");
  assert.equal(prepared.body, one.body);
  assert.equal(prepared.contentType, "Application/X-Thing; a=b");
  const bare = await prepare({}, {}, event({ contentType: null }));
  assert.equal(bare.result === "message" && bare.contentType, null);
});

test("what doesn't match, and what where says no to, is filtered", async () => {
  const one = event({ body: { n: 1 } });
  assert.deepEqual(await prepare({ match: { type: "x" } }, {}, one), { result: "filtered", reason: "match" });
  assert.deepEqual(await prepare({ where: "body.n > 1" }, {}, one), { result: "filtered", reason: "where" });
  assert.deepEqual(await prepare({ where: "body.m > 1" }, {}, one), {
    result: "filtered",
    reason: "absent_path",
  });
  assert.equal((await prepare({ where: "$sum(body.n) = 1" }, {}, one)).result, "message");
});

test("an event that is owed is prepared whatever the present `from` says", async () => {
  assert.equal((await prepare({ from: ["renamed"] }, {}, event({ source: "stripe" }))).result, "message");
});

test("what needs no JSONata is there at once", () => {
  const target = compile(
    { match: { "body.n": 5 }, where: "body.n > 1" },
    {
      transform: { kind: "map", map: { n: "{{ body.n }}" } },
      templates: { channel: "c.{{ body.n }}" },
    },
  );
  const prepared = target.prepare(event({ body: { n: 5 } }), null);
  assert.ok(!(prepared instanceof Promise));
  assert.equal(text(prepared), '{"n":5}');
  assert.ok(prepared.result === "message");
  assert.deepEqual(prepared.fields, { channel: "c.5" });
  assert.equal(prepared.contentType, "application/json");
});

test("a reply's templates and transform see its cause", async () => {
  const cause = event({ body: { user: 42, amount: 7 } });
  const reply = event({ source: "billing", body: { ok: true } });
  const prepared = await prepare(
    { from: ["billing"] },
    {
      templates: { channel: "user.{{ cause.body.user }}" },
      transform: { kind: "jsonata", expression: '{ "amount": cause.body.amount, "ok": body.ok }' },
    },
    reply,
    cause,
  );
  assert.equal(text(prepared), '{"amount":7,"ok":true}');
  assert.deepEqual(prepared.result === "message" && prepared.fields, { channel: "user.42" });
});

const deaths: [string, Partial<RoutePlan>, Partial<TargetPlan>, unknown, Record<string, unknown>][] = [
  [
    "a where that throws",
    { where: "body.n > 'x'" },
    {},
    { n: 1 },
    { error: "expression", path: "where", expression: "body.n > 'x'" },
  ],
  [
    "a where that loops",
    { where: "($f := function($x) { $f($x) }; $f(1))" },
    {},
    {},
    { error: "timeout", path: "where", message: "it ran for longer than 200 ms" },
  ],
  [
    "a transform that yields nothing",
    {},
    { transform: { kind: "jsonata", expression: "body.missing" } },
    {},
    { error: "nothing", path: "transform", expression: "body.missing" },
  ],
  [
    "a transform that throws",
    {},
    { transform: { kind: "jsonata", expression: '$error("no")' } },
    {},
    { error: "expression", path: "transform" },
  ],
  [
    "a template that yields null",
    {},
    { templates: { channel: "user.{{ body.user }}" } },
    { user: null },
    { error: "nothing", path: "channel", expression: "body.user" },
  ],
  [
    "a template that yields an object",
    {},
    { templates: { topic: "{{ body }}" } },
    {},
    { error: "not_scalar", path: "topic" },
  ],
  [
    "a path that would climb",
    {},
    { templates: { path: "/users/{{ body.id }}/orders" } },
    { id: ".." },
    { error: "dot_segment", path: "path" },
  ],
];
for (const [what, route, target, body, expected] of deaths) {
  test(`${what} is dead at once, and says why`, async () => {
    const prepared = await prepare(route, target, event({ body }));
    assert.ok(prepared.result === "dead", JSON.stringify(prepared));
    assert.partialDeepStrictEqual(prepared, expected);
    assert.notEqual(prepared.message, "");
  });
}

test("a body that isn't JSON where a where or a transform wants it is dead, and says so", async () => {
  const broken = () => event({ bytes: Buffer.from('{"a": oops}') });
  for (const [route, target] of [
    [{ where: "body.a = 1" }, {}],
    [{}, { transform: { kind: "map", map: { a: "{{ body.a }}" } } }],
    [{}, { templates: { key: "{{ body.a }}" } }],
  ] as [Partial<RoutePlan>, Partial<TargetPlan>][]) {
    const prepared = await prepare(route, target, broken());
    assert.ok(prepared.result === "dead");
    assert.match(prepared.message, /^the body is not JSON: /);
  }
  assert.equal((await prepare({ match: { "body.a": 1 } }, {}, broken())).result, "filtered");
  assert.equal((await prepare({}, {}, broken())).result, "message");
});

test("what is put into a path or a query is percent-encoded, into a channel not", async () => {
  const prepared = await prepare(
    {},
    { templates: { path: "/u/{{ body.id }}", query: "q={{ body.id }}", channel: "u.{{ body.id }}" } },
    event({ body: { id: "a/../b?c&d=\u00e9 \ud800" } }),
  );
  assert.ok(prepared.result === "message", JSON.stringify(prepared));
  assert.deepEqual(prepared.fields, {
    path: "/u/a%2F..%2Fb%3Fc%26d%3D%C3%A9%20%EF%BF%BD",
    query: "q=a%2F..%2Fb%3Fc%26d%3D%C3%A9%20%EF%BF%BD",
    channel: "u.a/../b?c&d=\u00e9 \ud800",
  });
});

test("numbers that JSON has and doubles don't are not silently changed to null", async () => {
  const one = event({ bytes: Buffer.from('{"n":1e999}') });
  const target: Partial<TargetPlan> = { transform: { kind: "map", map: { n: "{{ body.n }}" } } };
  const prepared = await prepare({}, target, one);
  assert.ok(prepared.result === "dead");
  assert.equal(prepared.error, "result");
});

test("a where whose path was absent a hundred times in a row is reported once", async () => {
  const reports: string[] = [];
  const watch = { onAbsentPath: (route: string, where: string) => reports.push(`${route}: ${where}`) };
  const target = compile({ where: "body.celsius > 80" }, {}, watch);
  const absent = async (times: number) => {
    for (let time = 0; time < times; time++) await target.prepare(event({ body: {} }), null);
  };
  await absent(99);
  assert.deepEqual(reports, []);
  assert.deepEqual(await target.prepare(event({ body: { celsius: 1 } }), null), {
    result: "filtered",
    reason: "where",
  });
  await absent(99);
  assert.deepEqual(reports, []);
  await absent(200);
  assert.deepEqual(reports, ["r: body.celsius > 80"]);
});

test("a route that can't work is refused when it is compiled", () => {
  const broken: [Partial<RoutePlan>, Partial<TargetPlan>][] = [
    [{ match: { typ: "x" } }, {}],
    [{ where: "body.n >" }, {}],
    [{}, { transform: { kind: "jsonata", expression: "{" } }],
    [{}, { transform: { kind: "map", map: { a: "{{ x" } } }],
    [{}, { templates: { channel: "{{ }}" } }],
  ];
  for (const [route, target] of broken) assert.throws(() => compile(route, target), LeatError);
});

test("whatever an event holds, it is a message, filtered or dead", async () => {
  const target = compile(
    { where: 'body.a > 1 or $contains(body.b, "x") or headers.`x-y`' },
    {
      transform: { kind: "map", map: { a: "{{ body.a }}", b: "{{ body.b & 'x' }}", c: "{{ body.c.d }}" } },
      templates: { channel: "c.{{ body.b }}" },
    },
  );
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.json({ maxDepth: 3 }).map((json) => Buffer.from(json)),
    fc
      .dictionary(fc.constantFrom("a", "b", "c"), fc.jsonValue({ maxDepth: 2 }))
      .map((data) => Buffer.from(JSON.stringify(data))),
  );
  const contentType = fc.constantFrom(null, "application/json", "text/plain");
  await fc.assert(
    fc.asyncProperty(body, contentType, async (bytes, type) => {
      const prepared = await target.prepare(event({ bytes, contentType: type }), null);
      if (prepared.result === "message") JSON.parse(Buffer.from(prepared.body).toString());
      else assert.ok(prepared.result === "filtered" || prepared.message !== "");
    }),
    { numRuns: 1000 },
  );
});
