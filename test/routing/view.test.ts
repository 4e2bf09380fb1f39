import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BodyError } from "../../src/routing/body.ts";
import { eventView } from "../../src/routing/view.ts";
import { event } from "./events.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

test("an event's own fields are there, the time as RFC 3339", () => {
  const view = eventView(event({ body: { a: 1 }, subject: "/x", key: "k" }), "auto");
  assert.equal(view.source, "stripe");
  assert.equal(view.type, "payment_intent.succeeded");
  assert.equal(view.subject, "/x");
  assert.equal(view.key, "k");
  assert.equal(view.time, "2026-01-02T03:04:05.678Z");
  assert.deepEqual(view.body, { a: 1 });
  assert.equal(view.cause, undefined);
});

test("header names are in lower case, repeats joined, what isn't UTF-8 apart", () => {
  const view = eventView(
    event({
      contentType: null,
      headers: [
        ["X-Foo", "a"],
        ["x-foo", "b"],
        ["X-Bytes", new Uint8Array([0xff, 0xfe])],
        ["__proto__", "mine"],
      ],
    }),
    "auto",
  );
  assert.deepEqual({ ...view.headers }, { "x-foo": "a, b", ["__proto__"]: "mine" });
  assert.deepEqual({ ...view.headers_base64 }, { "x-bytes": "//4=" });
  assert.equal(({} as Record<string, unknown>).mine, undefined);
});

const decoded = (
  text: string,
  contentType: string | null,
  decode: "auto" | "json" | "text" | "bytes" = "auto",
) => eventView(event({ bytes: bytes(text), contentType }), decode).body;

test("auto takes JSON where the content type says so, or without one where it parses", () => {
  assert.deepEqual(decoded('{"a":1}', "application/json; charset=utf-8"), { a: 1 });
  assert.deepEqual(decoded('{"a":1}', "application/cloudevents+json"), { a: 1 });
  assert.deepEqual(decoded('{"a":1}', null), { a: 1 });
  assert.equal(decoded("21.5 C", null), "21.5 C");
  assert.equal(decoded('{"a":1}', "text/plain"), '{"a":1}');
  assert.equal(decoded("", "application/json"), undefined);
  assert.equal(decoded("", null), "");
});

test("auto takes what isn't UTF-8 as base64", () => {
  const view = eventView(event({ bytes: new Uint8Array([0, 255]), contentType: null }), "auto");
  assert.equal(view.body, "AP8=");
});

test("a form is an object, a repeated field a list, and __proto__ a field like any other", () => {
  const body = decoded("a=1&b=2&b=3&b=4&__proto__=x&c=%20+", "application/x-www-form-urlencoded");
  assert.deepEqual(Object.entries(body as object), [
    ["a", "1"],
    ["b", ["2", "3", "4"]],
    ["__proto__", "x"],
    ["c", "  "],
  ]);
});

test("json, text and bytes do as they are named", () => {
  assert.equal(decoded("5", "text/plain", "json"), 5);
  assert.equal(decoded("5", "application/json", "text"), "5");
  assert.equal(decoded("5", "application/json", "bytes"), "NQ==");
});

test("a body that should be JSON and isn't says so when it is read, and only then", () => {
  const view = eventView(event({ bytes: bytes("{oops"), contentType: "application/json" }), "auto");
  assert.equal(view.type, "payment_intent.succeeded");
  assert.throws(() => view.body, BodyError);
  assert.throws(() => view.body, /the body is not JSON: /);
});

test("a schema registry's record is bytes, and where it should be JSON the error says what it is", () => {
  const record = Buffer.concat([Buffer.from([0, 0, 0, 0, 7]), bytes('{"a":1}')]);
  const seen = (contentType: string | null, decode: "auto" | "json" = "auto") =>
    eventView(event({ bytes: record, contentType }), decode).body;
  assert.equal(seen(null), record.toString("base64"));
  assert.equal(seen("application/octet-stream"), record.toString("base64"));
  assert.throws(() => seen("application/json"), /schema registry.*decode: bytes/);
  assert.throws(() => seen(null, "json"), /schema registry/);
  assert.equal(eventView(event({ bytes: Buffer.from([0, 65]), contentType: null }), "auto").body, "\u0000A");
});

test("an event is decoded once for all who look at it", () => {
  const one = event({ body: { a: 1 } });
  assert.equal(eventView(one, "auto"), eventView(one, "auto"));
  assert.equal(eventView(one, "auto").body, eventView(one, "auto").body);
  assert.equal(eventView(one, "text").body, '{"a":1}');
});

test("a reply sees its cause in the same form", () => {
  const cause = eventView(event({ body: { user: 42 } }), "auto");
  const view = eventView(event({ source: "billing" }), "auto", cause);
  assert.deepEqual(view.cause?.body, { user: 42 });
});

test("any bytes under any decode give plain data or a BodyError", () => {
  const types = fc.constantFrom(
    null,
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
  );
  const decodes = fc.constantFrom("auto", "json", "text", "bytes");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), types, decodes, (data, contentType, decode) => {
      const view = eventView(event({ bytes: data, contentType }), decode as "auto");
      try {
        JSON.stringify(view.body);
      } catch (error) {
        assert.ok(error instanceof BodyError);
      }
    }),
    { numRuns: 2000 },
  );
});
