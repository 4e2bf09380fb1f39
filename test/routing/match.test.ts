import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LeatError } from "../../src/errors.ts";
import { compileMatch } from "../../src/routing/match.ts";
import { eventView } from "../../src/routing/view.ts";
import { event, type Sample } from "./events.ts";

const matches = (match: Record<string, unknown>, sample: Sample) =>
  compileMatch(match)(eventView(event(sample), "auto"));

test("a literal, a glob and a list of alternatives match", () => {
  assert.equal(matches({ type: "payment_intent.succeeded" }, {}), true);
  assert.equal(matches({ type: "payment_intent.*" }, {}), true);
  assert.equal(matches({ type: ["a", "payment_intent.*"] }, {}), true);
  assert.equal(matches({ type: "invoice.*" }, {}), false);
  assert.equal(matches({ "body.data.livemode": true }, { body: { data: { livemode: true } } }), true);
  assert.equal(matches({ "body.data.livemode": "true" }, { body: { data: { livemode: true } } }), false);
  assert.equal(matches({ "body.n": null }, { body: { n: null } }), true);
  assert.equal(matches({ "body.items.1": 7 }, { body: { items: [5, 7] } }), true);
});

test("every key of a match must hold", () => {
  const match = { type: "a", "body.x": 1, "headers.x-foo": "f*" };
  const headers = [["X-Foo", "foo"]] as const;
  assert.equal(matches(match, { type: "a", body: { x: 1 }, headers }), true);
  assert.equal(matches(match, { type: "a", body: { x: 2 }, headers }), false);
  assert.equal(matches(match, { type: "b", body: { x: 1 }, headers }), false);
});

test("operators compare like with like", () => {
  const body = { n: 80, s: "v1.20", t: "2026-01-02T00:00:00Z" };
  assert.equal(matches({ "body.n": { gt: 79, lte: 80 } }, { body }), true);
  assert.equal(matches({ "body.n": { gt: 80 } }, { body }), false);
  assert.equal(matches({ "body.n": { gte: "80" } }, { body }), false);
  assert.equal(matches({ "body.t": { lt: "2027" } }, { body }), true);
  assert.equal(matches({ "body.s": { prefix: "v1.", suffix: "20" } }, { body }), true);
  assert.equal(matches({ "body.s": { not: "v2*" } }, { body }), true);
  assert.equal(matches({ "body.s": { not: ["v1.20", "x"] } }, { body }), false);
  assert.equal(matches({ "body.s": { exists: true } }, { body }), true);
  assert.equal(matches({ "body.missing": { exists: false } }, { body }), true);
});

test("an absent path filters, whatever is asked of it but its absence", () => {
  for (const wanted of ["**", { not: "x" }, { gt: 1 }, { prefix: "" }, { exists: true }, null]) {
    assert.equal(matches({ "body.missing.x": wanted }, { body: { missing: 1 } }), false);
  }
});

test("a body that isn't JSON filters, also where absence is asked for", () => {
  const text = { bytes: new Uint8Array(Buffer.from("{oops")) };
  assert.equal(matches({ "body.x": { exists: false } }, { ...text, contentType: "application/json" }), false);
  assert.equal(matches({ "body.x": { exists: false } }, { ...text, contentType: null }), false);
  assert.equal(matches({ "body.length": { gt: 0 } }, { ...text, contentType: null }), false);
});

test("nothing inherited is ever seen", () => {
  for (const name of ["toString", "hasOwnProperty", "valueOf"]) {
    assert.equal(matches({ [`body.${name}`]: { exists: true } }, { body: {} }), false);
  }
});

test("a match on the type doesn't decode the body", () => {
  const one = event({ bytes: new Uint8Array(Buffer.from("{oops")), type: "a" });
  const view = eventView(one, "json");
  assert.equal(compileMatch({ "body.x": 1, type: "b" })(view), false);
});

const mistakes: [Record<string, unknown>, string, RegExp][] = [
  [{ "body.__proto__.x": 1 }, "path_reserved", /__proto__/],
  [{ "body.constructor": 1 }, "path_reserved", /constructor/],
  [{ typ: "a" }, "path_unknown", /no `typ`/],
  [{ "body..x": 1 }, "path_syntax", /not a path/],
  [{ type: { greater: 1 } }, "match_invalid", /no operator `greater`/],
  [{ type: { toString: 1 } }, "match_invalid", /no operator `toString`/],
  [{ type: [] }, "match_invalid", /no alternatives/],
  [{ type: {} }, "match_invalid", /no operators/],
  [{ "body.x": { gt: true } }, "match_invalid", /number or a text/],
  [{ "body.x": { exists: 1 } }, "match_invalid", /true or false/],
  [{ "body.x": { prefix: 1 } }, "match_invalid", /takes a text/],
];

for (const [match, code, message] of mistakes) {
  test(`a mistake is reported: ${JSON.stringify(match)}`, () => {
    assert.throws(
      () => compileMatch(match),
      (error) =>
        error instanceof LeatError &&
        error.kind === "configuration" &&
        error.code === code &&
        message.test(error.message) &&
        error.hint !== undefined,
    );
  });
}

test("a match made from any value of an event matches that event, and its negation doesn't", () => {
  const scalar = fc.oneof(fc.boolean(), fc.integer(), fc.constantFrom("a", "b.c", ""), fc.constant(null));
  const name = fc.constantFrom("a", "b", "length", "data");
  const body = fc.dictionary(name, fc.oneof(scalar, fc.dictionary(name, scalar)));
  fc.assert(
    fc.property(body, (data) => {
      const view = eventView(event({ body: data }), "auto");
      for (const [key, value] of Object.entries(data)) {
        const leaves: [string, unknown][] =
          typeof value === "object" && value !== null
            ? Object.entries(value).map(([inner, leaf]) => [`body.${key}.${inner}`, leaf])
            : [[`body.${key}`, value]];
        for (const [path, leaf] of leaves) {
          assert.equal(compileMatch({ [path]: leaf })(view), true);
          assert.equal(compileMatch({ [path]: { not: leaf } })(view), false);
        }
      }
    }),
    { numRuns: 1000 },
  );
});
