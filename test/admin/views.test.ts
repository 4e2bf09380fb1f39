import assert from "node:assert/strict";
import { test } from "node:test";
import { eventDetail } from "../../src/admin/views.ts";
import { message } from "../sinks/webhook/kit.ts";

function shown(body: string): string {
  return JSON.stringify(eventDetail({ ...message().event, body: Buffer.from(body) }));
}

test("an event's numbers are shown with the digits that it came with", () => {
  const body = '{"n":1234567890123456789,"list":[1.0,1e400,-7],"__proto__":{"a":1}}';
  assert.ok(shown(body).endsWith(`"data":${body}}`), shown(body));
});

test("JSON that is too deep to be written again is shown as text", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  assert.ok(shown(nested(100)).endsWith(`"data":${nested(100)}}`));
  for (const levels of [20_000, 500_000]) {
    assert.ok(shown(nested(levels)).endsWith(`"data":"${nested(levels)}"}`));
  }
});
