/** The probes of a real daemon whose parts fail: what a restart may heal, and what it can't. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { getJson } from "../daemon/running.ts";
import { makeDaemon } from "../e2e/daemon.ts";
import { waitFor } from "../wait-for.ts";

const YAML = `
limits: { commit_wait: 200ms }
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }
sinks:
  out: { type: stdout }
  live: { type: sse, path: /events, auth: { type: none }, channels: [all], channel: all }
routes: { all: { from: in, to: [out, live] } }
`;

const JSON_TYPE = { "content-type": "application/json" };

const post = (url: string, id: string) =>
  fetch(`${url}/in`, { method: "POST", headers: JSON_TYPE, body: JSON.stringify({ id }) }).then(
    async (answer) => ({
      status: answer.status,
      retryAfter: answer.headers.get("retry-after"),
      body: (await answer.json()) as { seq: number; duplicate?: boolean },
    }),
  );

test("/healthz says 503 while the journal's writer hangs; senders are told to come back, and lose and double nothing", async (t) => {
  const hang = mkdtempSync(join(tmpdir(), "leat-hang-"));
  const daemon = await makeDaemon(YAML, {
    HANG_FOLDER: hang,
    NODE_OPTIONS: `--import ${resolve(import.meta.dirname, "../deploy/hang.ts")}`,
  });
  t.after(async () => {
    await daemon.close();
    rmSync(hang, { recursive: true, force: true });
  });
  await daemon.start();
  assert.equal((await post(daemon.url, "a")).status, 200);

  writeFileSync(join(hang, "journal writer"), "");
  const unhealthy = await waitFor("the hang to show", async () => {
    const answer = await getJson(`${daemon.admin}/healthz`);
    return answer.status === 503 && answer.json;
  });
  assert.deepEqual(unhealthy, { healthy: false, reason: "the journal's writer doesn't answer" });
  const { status, retryAfter } = await post(daemon.url, "b");
  assert.equal(status, 503);
  assert.ok(Number(retryAfter) > 0);

  rmSync(join(hang, "journal writer"));
  await waitFor("it to be healthy", async () => (await getJson(`${daemon.admin}/healthz`)).status === 200);
  // It was committed after its sender had been sent away: the second time it is known.
  const again = await waitFor("it to be taken", async () => {
    const answer = await post(daemon.url, "b");
    return answer.status === 200 && answer.body;
  });
  assert.equal(again.duplicate, true);
  const events = await getJson(`${daemon.admin}/api/events?source=in`);
  assert.equal((events.json.events as unknown[]).length, 2);
});

test("streams that can keep no history are a degraded part, not a reason to be sent nothing, and heal by themselves", async (t) => {
  const daemon = await makeDaemon(YAML);
  t.after(() => daemon.close());
  await daemon.start();
  // Another program (a backup, say) doesn't let go of the index.
  const other = new DatabaseSync(join(daemon.folder, "data/streams.db"));
  t.after(() => other.close());
  other.exec("BEGIN IMMEDIATE");
  const { status: taken, body } = await post(daemon.url, "a");
  assert.equal(taken, 200);
  const troubles = async () => {
    const { status, json } = await getJson(`${daemon.admin}/readyz`);
    assert.equal(status, 200);
    return (json.degraded as { part: string; reason: string }[]).filter(({ part }) => part === "journal");
  };
  const [trouble] = await waitFor(
    "the trouble to show",
    async () => {
      const found = await troubles();
      return found.length > 0 && found;
    },
    20_000,
  );
  assert.match(trouble?.reason ?? "", /^Streams keep no history now: ./);
  await waitFor("the other sink to have it", () => daemon.output().includes('"id":"a"'));

  other.exec("ROLLBACK");
  await waitFor("it to heal", async () => (await troubles()).length === 0, 20_000);
  const history = `${daemon.url}/events?since=${body.seq - 1}&wait=10s`;
  const frames = await fetch(history, { headers: { accept: "application/json" } });
  assert.equal(((await frames.json()) as { events: unknown[] }).events.length, 1);
});
