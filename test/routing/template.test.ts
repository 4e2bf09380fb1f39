import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { LeatError } from "../../src/errors.ts";
import { compilePattern, escapePattern } from "../../src/pattern.ts";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { compileTemplate, compileTransform, RenderError } from "../../src/routing/template.ts";
import { eventView } from "../../src/routing/view.ts";
import { event } from "./events.ts";

after(stopIsolation);

const view = (body: unknown, headers: readonly (readonly [string, string])[] = []) =>
  eventView(event({ body, headers }), "auto");

test("a lone expression keeps its type, several make a text", () => {
  const scope = view({ n: 5, list: [1], o: { a: null }, s: "x" });
  assert.equal(compileTemplate("{{ body.n }}").render(scope), 5);
  assert.deepEqual(compileTemplate("{{body.list}}").render(scope), [1]);
  assert.equal(compileTemplate("n={{ body.n }}, s={{ body.s }}").render(scope), "n=5, s=x");
  assert.equal(compileTemplate("{{ body.o }}!").render(scope), '{"a":null}!');
  assert.equal(compileTemplate("[{{ body.missing }}]").render(scope), "[]");
  assert.equal(compileTemplate("{{ body.missing }}").render(scope), undefined);
  assert.equal(compileTemplate("plain").render(scope), "plain");
  assert.equal(compileTemplate("").render(scope), "");
});

test("any JSONata stands in a template, also with braces and quotes", async () => {
  const scope = view({ list: [{ a: 1 }, { a: 2 }] });
  assert.equal(await compileTemplate("{{ $sum(body.list.a) }}").render(scope), 3);
  assert.deepEqual(await compileTemplate('{{ {"x": {"y": "}}"}} }}').render(scope), { x: { y: "}}" } });
  assert.equal(
    await compileTemplate('{{ "{{" & \'"\' }}|{{ `type` }}').render(scope),
    '{{"|payment_intent.succeeded',
  );
});

test("a header's name stands as it is", () => {
  const cause = view({}, [["X-User-Id", "7"]]);
  const scope = eventView(event({ headers: [["X-Request-Id", "r1"]] }), "auto", cause);
  assert.equal(compileTemplate("{{ headers.X-Request-Id }}").renderScalar(scope), "r1");
  assert.equal(compileTemplate("{{ cause.headers.x-user-id }}").renderScalar(scope), "7");
});

test("a template over something else than an event, such as a reader's claims", () => {
  const template = compileTemplate("user.{{ claims.sub }}", "channels");
  assert.equal(template.renderScalar({ claims: { sub: "42" } }), "user.42");
  assert.throws(() => template.renderScalar({ claims: {} }), RenderError);
});

test("what a template puts in is literal, never a pattern", () => {
  const template = compileTemplate("user.{{ claims.sub }}.*");
  const pattern = template.renderScalar({ claims: { sub: "*" } }, escapePattern) as string;
  assert.equal(pattern, "user.\\*.*");
  assert.equal(compilePattern(pattern)("user.*.inbox"), true);
  assert.equal(compilePattern(pattern)("user.42.inbox"), false);
});

test("null, nothing, a list and an object can't be part of a channel, and the error says where", () => {
  const scope = view({ null: null, list: [1], o: {} });
  const cases: [string, string, RegExp][] = [
    ["body.`null`", "nothing", /yields null/],
    ["body.missing", "nothing", /yields nothing/],
    ["body.list", "not_scalar", /yields a list/],
    ["body.o", "not_scalar", /yields an object/],
  ];
  for (const [expression, code, message] of cases) {
    assert.throws(
      () => compileTemplate(`user.{{ ${expression} }}`, "channel").renderScalar(scope),
      (error) => {
        assert.ok(error instanceof RenderError);
        assert.equal(error.code, code);
        assert.equal(error.expression, expression);
        assert.equal(error.path, "channel");
        assert.match(error.message, message);
        return true;
      },
    );
  }
  assert.equal(compileTemplate("{{ body.x }}{{ body.y }}").renderScalar(view({ x: false, y: 0 })), "false0");
});

test("one part that fails while another is under way fails the whole, and nothing is left unhandled", async () => {
  const scope = view({ list: [1] });
  const template = compileTemplate("{{ $error('late') }}{{ body.missing }}{{ $sum(body.list) }}", "topic");
  await assert.rejects(async () => template.renderScalar(scope), RenderError);
  const map = compileTransform({ kind: "map", map: { a: "{{ $error('late') }}", b: "{{ body.list > 1 }}" } });
  await assert.rejects(async () => map(scope), RenderError);
});

const mistakes: [string, string, RegExp][] = [
  ["user.{{ claims.sub", "template_syntax", /`\{\{` without `\}\}`/],
  ['{{ "open }}', "template_syntax", /without/],
  ["{{ }}", "template_syntax", /empty/],
  ["{{ body.x > }}", "expression_syntax", /end of expression/],
  ["{{ body.__proto__ }}", "path_reserved", /__proto__/],
  ["{{ headers.__proto__ }}", "path_reserved", /__proto__/],
];
for (const [source, code, message] of mistakes) {
  test(`a mistake in a template is reported: ${source}`, () => {
    assert.throws(
      () => compileTemplate(source),
      (error) => error instanceof LeatError && error.code === code && message.test(error.message),
    );
  });
}

test("a map is filled in however deep, and leaves out the fields that yield nothing", () => {
  const map = {
    type: "payment",
    amount: "{{ body.amount }}",
    text: "{{ body.amount }} cents",
    none: "{{ body.missing }}",
    null: "{{ body.nil }}",
    nested: { list: ["{{ body.amount }}", "{{ body.missing }}", 1, true, null], empty: {} },
    ["__proto__"]: "{{ body.amount }}",
  };
  const made = compileTransform({ kind: "map", map })(view({ amount: 12, nil: null }));
  assert.equal(
    JSON.stringify(made),
    '{"type":"payment","amount":12,"text":"12 cents","null":null,' +
      '"nested":{"list":[12,null,1,true,null],"empty":{}},"__proto__":12}',
  );
});

test("an error in a map says in which field", () => {
  const map = { a: { b: ["{{ body.x > 1 }}"] } };
  return assert.rejects(
    async () => compileTransform({ kind: "map", map })(view({ x: "s" })),
    (error) =>
      error instanceof RenderError && error.path === "transform.a.b.0" && error.code === "expression",
  );
});

test("a transform in JSONata yields what it yields, or nothing", async () => {
  const scope = view({ items: [{ p: 1 }, { p: 2 }] });
  const transform = (expression: string) => compileTransform({ kind: "jsonata", expression })(scope);
  assert.deepEqual(await transform('{ "total": $sum(body.items.p) }'), { total: 3 });
  assert.equal(await transform("body.items[p > 5]"), undefined);
});

test("text without braces is itself, and any value put in alone comes out as it was", () => {
  const text = fc.string().filter((value) => !value.includes("{{"));
  fc.assert(
    fc.property(text, fc.jsonValue(), (around, value) => {
      assert.equal(compileTemplate(around).render({}), around);
      assert.deepEqual(compileTemplate("{{ v }}").render({ v: value }), value);
    }),
    { numRuns: 1000 },
  );
});

test("a rendered, percent-encoded value is one segment again when it is decoded", () => {
  const template = compileTemplate("/users/{{ v }}/x?y={{ v }}");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (value) => {
      const text = template.renderScalar({ v: value }, encodeURIComponent) as string;
      const segments = text.split("?")[0]?.split("/") ?? [];
      assert.equal(segments.length, 4);
      assert.equal(decodeURIComponent(segments[2] ?? ""), value);
    }),
    { numRuns: 1000 },
  );
});
