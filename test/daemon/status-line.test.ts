import assert from "node:assert/strict";
import { test } from "node:test";
import type { Readiness } from "../../src/daemon/face.ts";
import { statusLine } from "../../src/daemon/status-line.ts";

const RUNNING: Readiness = { ready: true, phase: "running", reasons: [], degraded: [] };

for (const [what, readiness, line] of [
  ["all is well", RUNNING, "Running"],
  [
    "parts don't work",
    {
      ...RUNNING,
      degraded: [
        { part: "sink out", reason: "paused: lunch" },
        { part: "journal", reason: "x" },
      ],
    },
    "Running, degraded: sink out: paused: lunch; journal: x",
  ],
  [
    "sources have to wait",
    { ...RUNNING, ready: false, reasons: ["the disk is full"], degraded: [{ part: "a", reason: "b" }] },
    "Takes nothing in: the disk is full",
  ],
  [
    "it stops",
    { ...RUNNING, ready: false, phase: "draining", reasons: ["draining"] },
    "Stopping: what is under way is finished or handed back",
  ],
] as const) {
  test(`the status where ${what}`, () => {
    assert.equal(statusLine(readiness), line);
  });
}
