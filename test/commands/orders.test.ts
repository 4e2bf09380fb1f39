import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { getJson, postJson, startForTest } from "../daemon/running.ts";
import { MAIN, makeReceiver } from "../e2e/daemon.ts";
import { newFolder, openAt } from "../journal/sqlite/journal-kit.ts";
import { waitFor } from "../wait-for.ts";

/** `leat …` as a person runs it, against a daemon of this process. */
async function leat(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

const TOKEN = "a-token-that-is-long-enough";
const yaml = (url: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }
sinks: { out: { type: webhook, url: "${url}/hook", retry: { initial: 1h, dead_on: [400] } } }
routes: { all: { from: in, to: out } }
`;

test("leat replay sends an event again, and all dead letters of a subscription", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  receiver.answer = () => 400;
  const { url, admin } = await startForTest(t, yaml(receiver.url));
  const { json } = await postJson(`${url}/in`, { id: "a" });
  await waitFor("the dead letter", async () => {
    const { dead } = (await getJson(`${admin}/api/dead`)).json as { dead: unknown[] };
    return dead.length === 1;
  });
  receiver.answer = () => 200;
  const one = await leat(["replay", String(json.seq), "--to", "all/out", "--admin", admin]);
  assert.deepEqual([one.code, one.stderr], [0, ""]);
  assert.match(one.stdout, /1 event is on the way to all\/out again/);
  await waitFor("the replay", () => receiver.received.length === 2);
  const all = await leat(["replay", "--dead", "all/out", "--admin", admin, "--json"]);
  assert.equal(all.code, 0, all.stderr);
  const { replayed } = JSON.parse(all.stdout) as { replayed: number };
  await waitFor("the others", () => receiver.received.length === 2 + replayed);

  const { seq: alive } = (await postJson(`${url}/in`, { id: "b" })).json;
  const before = receiver.received.length;
  const notDead = await leat(["replay", String(alive), "--dead", "all/out", "--admin", admin]);
  assert.equal(notDead.code, 1);
  assert.match(notDead.stderr, new RegExp(`^leat: The event ${alive} is no dead letter of all/out`));
  const dead = await leat(["replay", String(json.seq), "--dead", "all/out", "--admin", admin]);
  assert.equal(dead.code, 0, dead.stderr);
  await waitFor("the dead letter again", () => receiver.received.length > before);

  const unknown = await leat(["replay", "1", "--to", "all/out", "--admin", admin]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /^leat: .*1/);
});

test("leat purge gives up what is owed, but only with --yes", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  receiver.answer = () => 503;
  const { url, admin } = await startForTest(t, yaml(receiver.url));
  for (const id of ["a", "b"]) await postJson(`${url}/in`, { id });
  await waitFor("both attempts", () => receiver.received.length === 2);
  const unsure = await leat(["purge", "all/out", "--admin", admin]);
  assert.equal(unsure.code, 1);
  assert.match(unsure.stderr, /--yes/);
  const counts = async () => {
    const { json } = await getJson(`${admin}/api/subscriptions`);
    const [all] = json.subscriptions as { routes: { counts: { retrying: number; purged: number } }[] }[];
    return all?.routes[0]?.counts;
  };
  await waitFor("both to wait", async () => (await counts())?.retrying === 2);
  const sure = await leat(["purge", "all/out", "--yes", "--admin", admin]);
  assert.deepEqual([sure.code, sure.stdout], [0, "2 deliveries given up.\n"]);
  assert.equal((await counts())?.purged, 2);
});

test("leat reload prints what changed; an invalid file's problems with exit code 2", async (t) => {
  const running = await startForTest(t, yaml("http://127.0.0.1:9"));
  running.writeConfig(`${yaml("http://127.0.0.1:9").replace("routes:", "x-routes:")}`);
  const changed = await leat(["reload", "--admin", running.admin]);
  assert.equal(changed.code, 0, changed.stderr);
  assert.match(changed.stdout, /^removed {2}route all$/m);
  running.writeConfig("sinks: { out: { type: stdoot } }\n");
  const invalid = await leat(["reload", "--admin", running.admin]);
  assert.equal(invalid.code, 2);
  assert.match(invalid.stderr, /leat\.yaml:\d+:\d+: /);
});

test("leat pause and leat resume", async (t) => {
  const { admin } = await startForTest(t, yaml("http://127.0.0.1:9"));
  const paused = await leat(["pause", "out", "--reason", "maintenance", "--admin", admin]);
  assert.deepEqual([paused.code, paused.stdout], [0, "out is paused; its events wait.\n"]);
  const { json } = await getJson(`${admin}/readyz`);
  assert.match(JSON.stringify(json.degraded), /maintenance/);
  assert.equal((await leat(["resume", "out", "--admin", admin])).code, 0);
  assert.equal((await leat(["resume", "nobody", "--admin", admin])).code, 1);
});

test("a clock that jumped between two runs is doubted, /readyz and the log name leat confirm-clock, and it ends that", async (t) => {
  const folder = newFolder();
  await (await openAt(join(folder, "data"))).close();
  const database = new DatabaseSync(join(folder, "data", "journal.db"));
  // The last run's clock was two hours ahead of this one's.
  database.exec(
    "UPDATE meta SET value = json_set(value, '$.wall', (value ->> '$.wall') + 7200000) WHERE name = 'clock'",
  );
  database.close();
  const { admin, logged } = await startForTest(t, yaml("http://127.0.0.1:9"), { folder });
  const degraded = async () => JSON.stringify((await getJson(`${admin}/readyz`)).json.degraded);
  assert.match(await degraded(), /clock has stepped.*leat confirm-clock/);
  const [doubt] = logged.filter(({ msg }) => /clock has stepped/.test(String(msg)));
  assert.match(String(doubt?.remedy), /leat confirm-clock/);

  const confirmed = await leat(["confirm-clock", "--admin", admin]);
  assert.equal(confirmed.code, 0, confirmed.stderr);
  assert.match(confirmed.stdout, /^The clock is trusted from now on: 2\d{3}-.*Z\.$/m);
  assert.equal(await degraded(), "[]");
  assert.ok(logged.some(({ msg }) => /clock is trusted again/.test(String(msg))));
  const again = await leat(["confirm-clock", "--admin", admin]);
  assert.match(again.stdout, /wasn't doubted/);
});

test("the token comes from LEAT_ADMIN_TOKEN, or from the configuration that is named", async (t) => {
  const running = await startForTest(t, yaml("http://127.0.0.1:9"), { server: `admin_token: ${TOKEN}` });
  const without = await leat(["reload", "--admin", running.admin], { LEAT_ADMIN_TOKEN: "" });
  assert.equal(without.code, 1);
  assert.match(without.stderr, /LEAT_ADMIN_TOKEN/);
  assert.equal((await leat(["reload", "--admin", running.admin], { LEAT_ADMIN_TOKEN: TOKEN })).code, 0);
  const file = join(running.folder, "client.yaml");
  writeFileSync(file, `server: { admin: "${new URL(running.admin).host}", admin_token: ${TOKEN} }\n`);
  const named = await leat(["reload", "--config", file]);
  assert.equal(named.code, 0, named.stderr);
  assert.ok(!(named.stdout + named.stderr).includes(TOKEN));
});

test("errors elsewhere in a configuration don't send an order to another daemon; errors in its settings send it nowhere", async (t) => {
  const running = await startForTest(t, yaml("http://127.0.0.1:9"), { server: `admin_token: ${TOKEN}` });
  const file = join(running.folder, "client.yaml");
  const server = `server: { admin: "${new URL(running.admin).host}", admin_token: ${TOKEN} }\n`;
  writeFileSync(
    file,
    `${server}sinks: { out: { type: webhook, url: "https://x.example/", secret: "\${NOT_SET}" } }\n`,
  );
  const found = await leat(["reload", "--config", file]);
  assert.equal(found.code, 0, found.stderr);
  const unsound = [
    server.replace("server", "sever"),
    server.replace("admin:", "amdin:"),
    `server: { admin: "\${NOT_SET}" }\n`,
    "server: [\n",
  ];
  for (const text of unsound) {
    writeFileSync(file, text);
    const lost = await leat(["reload", "--config", file], { LEAT_ADMIN: "" });
    assert.equal(lost.code, 2, lost.stderr);
    assert.match(lost.stderr, /client\.yaml:\d+:\d+: .*--admin or LEAT_ADMIN/s);
    assert.ok(!lost.stderr.includes(TOKEN));
  }
  const none = await leat(["reload", "--config", join(running.folder, "none.yaml")]);
  assert.equal(none.code, 2, none.stderr);
  const told = { LEAT_ADMIN: running.admin, LEAT_ADMIN_TOKEN: TOKEN };
  assert.equal((await leat(["reload", "--config", file], told)).code, 0);
});

test("with no daemon there, a command says so and ends with 1; wrong usage too", async () => {
  const nobody = await leat(["reload", "--admin", "127.0.0.1:9"]);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /No daemon answers at http:\/\/127\.0\.0\.1:9/);
  for (const args of [
    ["replay"],
    ["replay", "x", "--to", "a/b"],
    ["replay", "1"],
    ["replay", "1", "--to", "a", "--dead", "b"],
  ]) {
    const wrong = await leat(args);
    assert.equal(wrong.code, 1, args.join(" "));
    assert.match(wrong.stderr, /^leat: /);
  }
});

test("leat revoke takes a stream from a user, and leat restore gives it back", async (t) => {
  const { admin } = await startForTest(
    t,
    `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  tabs: { type: sse, path: /events, auth: { type: http, url: "http://127.0.0.1:9/" }, channels: ["**"] }
routes: { all: { from: in, to: tabs } }
`,
  );
  const revoked = await leat([
    "revoke",
    "tabs",
    "42",
    "--channel",
    "room.7",
    "--for",
    "1h",
    "--admin",
    admin,
  ]);
  assert.deepEqual([revoked.code, revoked.stderr], [0, ""]);
  assert.match(revoked.stdout, /Revoked: 0 connections/);
  const { json } = await getJson(`${admin}/api/sinks/tabs/revocations`);
  assert.deepEqual(
    (json.revocations as { user: string; channel: string }[]).map(({ user, channel }) => [user, channel]),
    [["42", "room.7"]],
  );
  const restored = await leat(["restore", "tabs", "42", "--channel", "room.7", "--admin", admin]);
  assert.match(restored.stdout, /^Restored\.$/m);
  assert.match((await leat(["restore", "tabs", "42", "--admin", admin])).stdout, /Nothing was revoked/);
  const unknown = await leat(["revoke", "in", "42", "--admin", admin]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /There is no stream in/);
});
