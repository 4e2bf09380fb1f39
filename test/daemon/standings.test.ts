import assert from "node:assert/strict";
import { test } from "node:test";
import type { Standing } from "../../src/component.ts";
import { createStanding } from "../../src/daemon/standings.ts";
import { keptLog } from "../http/log.ts";

const CONNECTED: Standing = { state: "connected" };
const waiting = (error: string, message = "why"): Standing => ({ state: "waiting", error, message });

function standing(hasBroker = true) {
  let now = 1000;
  const clock = { wall: () => now, monotonic: () => now, after: () => () => {} };
  const { log, lines } = keptLog();
  let changes = 0;
  const record = createStanding({ hasBroker, clock, log, onChange: () => changes++ });
  return { record, lines, changes: () => changes, pass: (ms: number) => (now += ms) };
}

test("one that has a broker waits until it has said otherwise; one that has none never stands anywhere", () => {
  assert.equal(standing(false).record.status(), null);
  const status = standing().record.status();
  assert.equal(status?.state, "waiting");
  assert.equal(status?.error, "connecting");
  assert.equal(status?.everConnected, false);
});

test("each change is logged once: a warning when it begins to wait or waits for something else, then that it is back", () => {
  const { record, lines, changes, pass } = standing();
  record.stands(waiting("connection_refused", "127.0.0.1:9092"));
  record.stands(waiting("connection_refused", "127.0.0.1:9093"));
  record.stands(waiting("auth"));
  record.stands(CONNECTED);
  record.stands(CONNECTED);
  pass(5);
  record.stands(waiting("reset"));
  record.stands(CONNECTED);
  assert.deepEqual(
    lines.map(({ level, message, fields }) => [level, message, (fields as { error?: string }).error]),
    [
      ["warn", "waits for its broker", "connection_refused"],
      ["warn", "waits for its broker", "auth"],
      ["info", "connected to its broker", undefined],
      ["warn", "waits for its broker", "reset"],
      ["info", "connected to its broker again", undefined],
    ],
  );
  assert.equal(changes(), 5);
  const status = record.status();
  assert.equal(status?.reconnects, 1);
  assert.equal(status?.since, 1005);
  assert.equal(status?.error, null);
});

test("the status has the last message, also where the word is the same", () => {
  const { record } = standing();
  record.stands(waiting("connection_refused", "127.0.0.1:9092"));
  record.stands(waiting("connection_refused", "127.0.0.1:9093"));
  assert.equal(record.status()?.message, "127.0.0.1:9093");
});
