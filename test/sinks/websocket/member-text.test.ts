/** What a client published, cut out of what it said. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { memberText } from "../../../src/sinks/websocket/member-text.ts";
import { parseMessage } from "../../../src/sinks/websocket/parse.ts";

const cut = (text: string) => memberText(text, "data");

test("a member is cut out as it was written, spaces and digits and all", () => {
  assert.equal(cut('{"data":12345678901234567890}'), "12345678901234567890");
  assert.equal(cut('{"a":1,"data" : 1.10 ,"b":2}'), "1.10");
  assert.equal(cut(' \r\n\t{ "data" : { "x" : [ 1e400, "}" ] } } '), '{ "x" : [ 1e400, "}" ] }');
  assert.equal(cut('{"data":"a \\"}, \\\\"}'), '"a \\"}, \\\\"');
  assert.equal(cut('{"x":{"data":1},"data":null}'), "null");
  assert.equal(cut('{"data":[],"":0}'), "[]");
});

test("of several of one name it is the last, however the name is written", () => {
  assert.equal(cut('{"data":1,"data":2}'), "2");
  assert.equal(cut('{"data":1,"d\\u0061ta":2}'), "2");
  assert.equal(cut('{"d\\u0061ta":2,"date":1}'), "2");
});

test("what is nested a thousand deep is cut out, and what is deeper is not", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.equal(cut(`{"data":${nested(1000)}}`), nested(1000));
  assert.equal(cut(`{"data":${nested(1001)}}`), null);
  assert.equal(cut(`{"other":${nested(1001)},"data":1}`), null);
});

test("it is what JSON.parse finds, for any object, however it is spaced", () => {
  const spaces = fc.constantFrom(undefined, 1, "\t", "\n \r");
  fc.assert(
    fc.property(
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("data", "date")), fc.jsonValue()),
      fc.jsonValue(),
      spaces,
      (others, data, space) => {
        const text = JSON.stringify({ ...others, data }, null, space as string);
        assert.deepEqual(JSON.parse(cut(text) as string), JSON.parse(text).data);
      },
    ),
    { numRuns: 3000 },
  );
});

test("no message holds up the others, whatever is in it", () => {
  const hostile: [string, unknown][] = [
    ["digits and dots", "1.".repeat(32_000)],
    ["digits", "1".repeat(64_000)],
    ["small numbers", Array.from({ length: 16_000 }, () => 1e-7)],
    ["backslashes", "\\".repeat(32_000)],
    ["quotes", '"'.repeat(32_000)],
    ["empty objects", Array.from({ length: 16_000 }, () => ({}))],
  ];
  for (const [what, data] of hostile) {
    const text = JSON.stringify({ type: "publish", channel: "a", data });
    const begun = performance.now();
    assert.equal(parseMessage(text, { channelBytes: 256 }).type, "publish");
    assert.ok(performance.now() - begun < 250, `${what}: ${performance.now() - begun} ms`);
  }
});
