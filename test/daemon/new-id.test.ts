import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../src/daemon/new-id.ts";

test("new ids are UUIDs of version 7 with the time in front, and no two are alike, also from one draw to the next", () => {
  const before = Date.now();
  const ids = Array.from({ length: 5_000 }, newId);
  const after = Date.now();
  assert.equal(new Set(ids).size, ids.length);
  // 62 bits behind the version are random, whatever the millisecond is.
  assert.equal(new Set(ids.map((id) => id.slice(19))).size, ids.length);
  for (const id of ids) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const time = Number.parseInt(id.replace("-", "").slice(0, 12), 16);
    assert.ok(time >= before && time <= after);
  }
});
