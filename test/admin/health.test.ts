import assert from "node:assert/strict";
import { test } from "node:test";
import { getJson, startForTest } from "../daemon/running.ts";

const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "http://127.0.0.1:9/", retry: { initial: 1h } } }
routes: { all: { from: in, to: out } }
`;

test("/healthz says 200 while the event loop and the journal's writer answer", async (t) => {
  const { admin } = await startForTest(t, YAML);
  const { status, json } = await getJson(`${admin}/healthz`);
  assert.equal(status, 200);
  assert.deepEqual(json, { healthy: true });
});

test("/readyz says 200 with nothing degraded, and HEAD will do", async (t) => {
  const { admin } = await startForTest(t, YAML);
  const { status, json } = await getJson(`${admin}/readyz`);
  assert.equal(status, 200);
  assert.deepEqual(json, { ready: true, phase: "running", reasons: [], degraded: [] });
  assert.equal((await fetch(`${admin}/readyz`, { method: "HEAD" })).status, 200);
});
