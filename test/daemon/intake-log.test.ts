import assert from "node:assert/strict";
import { test } from "node:test";
import { tellOfIntake } from "../../src/daemon/intake-log.ts";
import type { JournalHealth } from "../../src/journal/journal.ts";
import { createLog } from "../../src/log.ts";

test("the log says once that intake stopped, why and what to do, and once that it goes on", () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: "info",
    format: "json",
    stream: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const open: JournalHealth = { intake: { open: true }, stalled: false, failed: null, notes: [] };
  const full: JournalHealth = {
    ...open,
    intake: { open: false, reason: "the disk is full", retryAfterMs: 1000 },
  };
  let health = open;
  let changed = () => {};
  tellOfIntake(
    {
      health: () => health,
      onHealth(listener) {
        changed = () => listener(health);
        return () => {};
      },
    },
    log,
  );
  for (const next of [open, full, full, { ...full, stalled: true }, open, open]) {
    health = next;
    changed();
  }
  assert.deepEqual(
    lines.map(({ level, msg, reason }) => [level, msg, reason]),
    [
      ["warn", "no event is taken in: senders get 503 and try again", "the disk is full"],
      ["warn", "deliveries wait: what became of them can't be written", undefined],
      ["info", "events are taken in again", undefined],
      ["info", "deliveries go on", undefined],
    ],
  );
  assert.match(String(lines[0]?.remedy), /make room/);
});
