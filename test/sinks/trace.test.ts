import assert from "node:assert/strict";
import test from "node:test";
import { NO_HEADERS, packHeaders } from "../../src/event.ts";
import { traceparent } from "../../src/sinks/trace.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const given = (value: string) => packHeaders([["Traceparent", value]]);

test("an event's trace goes on in a new span, with its flags", () => {
  const sent = traceparent(given(`00-${TRACE}-b7ad6b7169203331-01`));
  assert.match(sent, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  assert.ok(!sent.includes("b7ad6b7169203331"));
});

test("an event without a trace, or with a broken one, begins its own", () => {
  const headers = [NO_HEADERS, given("nonsense"), given(`00-${"0".repeat(32)}-b7ad6b7169203331-01`)];
  for (const each of headers) assert.match(traceparent(each), /^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-00$/);
});

test("no two of ten thousand have a trace or a span in common", () => {
  const sent = Array.from({ length: 10_000 }, () => traceparent(NO_HEADERS).split("-"));
  assert.equal(new Set(sent.map(([, trace]) => trace)).size, 10_000);
  assert.equal(new Set(sent.map(([, , span]) => span)).size, 10_000);
});
