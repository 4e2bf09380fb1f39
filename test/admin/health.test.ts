import assert from "node:assert/strict";
import { test } from "node:test";
import { getJson, postJson, startForTest } from "../daemon/running.ts";
import { waitFor } from "../wait-for.ts";

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

test("below the disk's watermark sources are told to come back, /readyz says why, and the process stays up", async (t) => {
  const { url, admin, logged } = await startForTest(t, YAML, { watermark: "{ share: 100%, size: 1000TiB }" });
  const reasons = await waitFor("intake to stop", async () => {
    const { status, json } = await getJson(`${admin}/readyz`);
    return status === 503 && (json.reasons as string[]);
  });
  assert.equal(reasons.length, 1);
  const refused = await postJson(`${url}/in`, {});
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.equal((await getJson(`${admin}/healthz`)).status, 200);
  const text = await (await fetch(`${admin}/metrics`)).text();
  assert.match(text, /^leat_ready 0$/m);
  assert.match(text, /^leat_intake_open 0$/m);
  assert.ok(
    logged.some(({ level, msg }) => level === "warn" && String(msg).startsWith("no event is taken in")),
  );
});

test("an open breaker is a degraded part, not a reason to be sent nothing", async (t) => {
  const yaml = YAML.replace("retry: { initial: 1h }", "retry: { initial: 1h }, breaker: { failures: 2 }");
  const { url, admin } = await startForTest(t, yaml);
  for (let n = 0; n < 3; n++) await postJson(`${url}/in`, { n });
  const degraded = await waitFor("the breaker to open", async () => {
    const { status, json } = await getJson(`${admin}/readyz`);
    assert.equal(status, 200);
    return (json.degraded as { part: string; reason: string }[])[0];
  });
  assert.equal(degraded.part, "sink out");
  assert.match(degraded.reason, /breaker is open/);
  const out = await waitFor("what was under way to end", async () => {
    interface Sink {
      readonly in_flight: number;
      readonly breaker: { readonly failures: number; readonly probing: boolean };
    }
    const { sinks } = (await getJson(`${admin}/api/sinks`)).json as { sinks: Sink[] };
    return sinks[0]?.in_flight === 0 && sinks[0];
  });
  assert.ok(out.breaker.failures >= 2);
  assert.equal(out.breaker.probing, false);
  assert.match(await (await fetch(`${admin}/metrics`)).text(), /^leat_breaker_open\{sink="out"\} 1$/m);
});
