import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { startDaemon } from "../../src/daemon.ts";
import { createLog } from "../../src/log.ts";
import { makeReceiver } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { waitFor } from "../wait-for.ts";
import { getJson, postJson, preamble, startForTest } from "./running.ts";

const metric = async (admin: string, line: RegExp) =>
  line.exec(await (await fetch(`${admin}/metrics`)).text())?.[1];

const bodies = (received: readonly { body: string }[]) =>
  received.map(({ body }) => (JSON.parse(body) as { n: number }).n);

test("a reload takes over new routes and sinks, and leaves the listener and open streams alone", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  const before = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: sse, path: /events, auth: { type: none } } }
routes: { all: { from: in, to: live } }
`;
  const running = await startForTest(t, before);
  const { url, admin, daemon } = running;
  const reader = followStream(`${url}/events`);
  t.after(() => reader.close());
  await waitFor(
    "the reader to be connected",
    async () => (await metric(admin, /leat_readers\{.*\} (\d)/)) === "1",
  );
  assert.equal((await postJson(`${url}/in`, { n: 1 })).status, 200);

  running.writeConfig(
    before
      .replace("sinks: {", `sinks: { out: { type: webhook, url: "${receiver.url}/hook" }, `)
      .replace("to: live", "to: [live, out]"),
  );
  const result = await daemon.reload();
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.added, ["sink out"]);
  assert.deepEqual(result.changed, ["route all"]);
  assert.deepEqual(result.removed, []);

  assert.equal((await postJson(`${url}/in`, { n: 2 })).status, 200);
  await waitFor("the new sink's delivery", () => receiver.received.length === 1);
  assert.deepEqual(bodies(receiver.received), [2], "a new route starts after the reload");
  await waitFor("both at the reader", () => reader.events.length === 2);
  assert.equal(reader.connections, 1, "the open stream survived");
  assert.equal(await metric(admin, /^leat_config_reload_success (\d)/m), "1");
});

test("an invalid file changes nothing and is reported, with every problem and its place", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  const yaml = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "${receiver.url}/hook" } }
routes: { all: { from: in, to: out } }
`;
  const running = await startForTest(t, yaml);
  const { url, admin } = running;
  running.writeConfig(yaml.replace("from: in", "from: inn").replace("path: /in,", ""));
  const answer = await postJson(`${admin}/api/reload`, {});
  assert.equal(answer.status, 422);
  const { code, problems } = answer.json.error as { code: string; problems: string[] };
  assert.equal(code, "invalid_configuration");
  assert.ok(problems.length >= 2, problems.join("\n"));
  for (const problem of problems) assert.match(problem, /leat\.yaml:\d+:\d+: /);
  assert.equal(await metric(admin, /^leat_config_reload_success (\d)/m), "0");
  assert.equal(running.logged.filter(({ level }) => level === "error").length, 1);

  assert.equal((await postJson(`${url}/in`, { n: 1 })).status, 200);
  await waitFor("a delivery by the old configuration", () => receiver.received.length === 1);
  running.writeConfig(yaml);
  assert.equal((await postJson(`${admin}/api/reload`, {})).status, 200);
  assert.equal(await metric(admin, /^leat_config_reload_success (\d)/m), "1");
});

test("a file that can't be read, and one that is gone, change nothing", async (t) => {
  const running = await startForTest(
    t,
    "sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n",
  );
  rmSync(running.file);
  const result = await running.daemon.reload();
  assert.ok(!result.ok);
  assert.equal((await postJson(`${running.url}/in`, {})).status, 200);
});

test("an attempt under way ends under the old sink; retries go by the new one", async (t) => {
  const [old, next] = [await makeReceiver(), await makeReceiver()];
  t.after(() => Promise.all([old.close(), next.close()]));
  const { promise: release, resolve } = Promise.withResolvers<number>();
  old.answer = ({ body }) => (body.includes('"n":1') ? release : 503);
  const yaml = (to: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "${to}/hook", retry: { initial: 100ms, max_wait: 200ms } } }
routes: { all: { from: in, to: out } }
`;
  const running = await startForTest(t, yaml(old.url));
  const { url, admin, daemon } = running;
  for (const n of [1, 2]) await postJson(`${url}/in`, { n });
  await waitFor("both attempts", () => old.received.length >= 2);
  running.writeConfig(yaml(next.url));
  const result = await daemon.reload();
  assert.ok(result.ok);
  assert.ok(result.changed.includes("sink out"));
  await waitFor("the retry, at the new address", () => bodies(next.received).includes(2));
  resolve(200);
  await waitFor("everything to be settled", async () => {
    const { json } = await getJson(`${admin}/api/subscriptions`);
    const [all] = json.subscriptions as { routes: { counts: { delivered: number } }[] }[];
    return all?.routes[0]?.counts.delivered === 2;
  });
  assert.deepEqual(bodies(next.received), [2], "what was under way was not sent twice");
});

test("a changed secret holds from the reload on; the unchanged source is left alone", async (t) => {
  const yaml = (secret: string) => `
sources:
  a: { type: webhook, path: /a, verify: { type: github, secret: ${secret} } }
  b: { type: webhook, path: /b, verify: { type: none } }
`;
  const running = await startForTest(t, yaml("first-secret"));
  const { url, daemon } = running;
  const post = async (secret: string) => {
    const body = JSON.stringify({ at: performance.now() });
    const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
    const headers = { "x-hub-signature-256": signature, "x-github-event": "push" };
    const response = await fetch(`${url}/a`, { method: "POST", headers, body });
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(await post("first-secret"), 200);
  running.writeConfig(yaml("second-secret"));
  const result = await daemon.reload();
  assert.ok(result.ok);
  assert.deepEqual(result.changed, ["source a"]);
  assert.equal(await post("first-secret"), 401);
  assert.equal(await post("second-secret"), 200);
  assert.ok(!JSON.stringify(running.logged).includes("second-secret"));
});

test("a removed route that still owes events is said at the reload, shown, and purged on request", async (t) => {
  const yaml = (routes: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "http://127.0.0.1:9/", retry: { initial: 1h } } }
routes: ${routes}
`;
  const running = await startForTest(t, yaml("{ all: { from: in, to: out } }"));
  const { url, admin, daemon } = running;
  for (const n of [1, 2]) await postJson(`${url}/in`, { n });
  // What is in flight at a purge ends as it ends and isn't in its answer: both must have got to their long wait.
  await waitFor("both to wait for their retry", () => {
    const counts = daemon.journal.ledger.subscription("all/out")?.counts()[0]?.counts;
    return counts?.retrying === 2;
  });
  running.writeConfig(yaml("{}"));
  const result = await daemon.reload();
  assert.ok(result.ok);
  assert.match(result.notes.join(), /all\/out .*owes 2 events.*leat purge all\/out/);
  const ready = await getJson(`${admin}/readyz`);
  assert.equal(ready.status, 200);
  assert.match(JSON.stringify(ready.json.degraded), /subscription all\/out/);

  const purged = await postJson(`${admin}/api/purge`, { subscription: "all/out" });
  assert.equal(purged.json.purged, 2);
  assert.deepEqual((await getJson(`${admin}/readyz`)).json.degraded, []);
});

test("a route that is put back delivers what it owed", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  receiver.answer = () => 503;
  const yaml = (routes: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "${receiver.url}/hook", retry: { initial: 100ms, max_wait: 200ms } } }
routes: ${routes}
`;
  const running = await startForTest(t, yaml("{ all: { from: in, to: out } }"));
  const { url, daemon } = running;
  await postJson(`${url}/in`, { n: 1 });
  await waitFor("its first attempt", () => receiver.received.length > 0);
  running.writeConfig(yaml("{}"));
  assert.ok((await daemon.reload()).ok);
  await postJson(`${url}/in`, { n: 2 });
  receiver.answer = () => 200;
  running.writeConfig(yaml("{ all: { from: in, to: out } }"));
  assert.ok((await daemon.reload()).ok);
  await postJson(`${url}/in`, { n: 3 });
  await waitFor("what it owed and what is new", () => {
    const seen = bodies(receiver.received);
    return seen.includes(3) && seen.filter((n) => n === 1).length > 1;
  });
  assert.ok(!bodies(receiver.received).includes(2), "what came while there was no route wasn't owed");
});

test("what a route owes is delivered though its source is renamed, or it takes another one", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  receiver.answer = () => 500;
  const yaml = (source: string, from: string) => `
sources:
  ${source}: { type: webhook, path: /in, verify: { type: none } }
  other: { type: webhook, path: /other, verify: { type: none } }
sinks: { out: { type: webhook, url: "${receiver.url}/hook", concurrency: 2, retry: { initial: 100ms, max_wait: 200ms } } }
routes: { all: { from: ${from}, to: out } }
`;
  const running = await startForTest(t, yaml("in", "in"));
  const { url, daemon } = running;
  for (let n = 1; n <= 8; n++) await postJson(`${url}/in`, { n });
  await waitFor("some to be tried", () => receiver.received.length >= 2);
  running.writeConfig(yaml("renamed", "renamed"));
  assert.ok((await daemon.reload()).ok);
  await postJson(`${url}/in`, { n: 9 });
  running.writeConfig(yaml("renamed", "other"));
  assert.ok((await daemon.reload()).ok);
  receiver.answer = () => 200;
  await waitFor("all to be settled", () => {
    const counts = daemon.journal.ledger.subscription("all/out")?.counts()[0]?.counts;
    return counts?.delivered === 9 || (counts?.filtered ?? 0) > 0;
  });
  assert.deepEqual(new Set(bodies(receiver.received)), new Set([1, 2, 3, 4, 5, 6, 7, 8, 9]));
  assert.equal(daemon.journal.ledger.subscription("all/out")?.counts()[0]?.counts.filtered, 0);
});

test("reloads under load lose nothing: every 200 arrives, whatever is swapped meanwhile", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  const yaml = (turn: number) => `
sources: { in: { type: webhook, path: /in, verify: { type: bearer, token: [the-token, turn-${turn}] } } }
sinks:
  out: { type: webhook, url: "${receiver.url}/hook/${turn}" }
  live: { type: sse, path: /events, auth: { type: none }, heartbeat: ${10 + turn}s }
routes: { all: { from: in, to: [out, live] } }
`;
  const running = await startForTest(t, yaml(0));
  const { url, admin, daemon } = running;
  const reader = followStream(`${url}/events`);
  t.after(() => reader.close());
  await waitFor(
    "the reader to be there",
    async () => (await metric(admin, /leat_readers\{.*\} (\d)/)) === "1",
  );
  const promised = new Set<number>();
  const refused: number[] = [];
  let n = 0;
  let stop = false;
  const senders = Array.from({ length: 4 }, async () => {
    while (!stop) {
      const mine = n++;
      const { status } = await postJson(`${url}/in`, { n: mine }, { authorization: "Bearer the-token" });
      if (status === 200) promised.add(mine);
      else refused.push(status);
    }
  });
  for (let turn = 1; turn <= 8; turn++) {
    const before = promised.size;
    running.writeConfig(yaml(turn));
    const result = await daemon.reload();
    assert.ok(result.ok, JSON.stringify(result));
    await waitFor("some more to be taken", () => promised.size > before + 10);
  }
  stop = true;
  await Promise.all(senders);
  assert.deepEqual(
    refused.filter((status) => status !== 503),
    [],
    "at most told to come back",
  );
  await waitFor("all at the receiver", () => {
    const seen = new Set(bodies(receiver.received));
    return [...promised].every((one) => seen.has(one));
  });
  assert.equal(bodies(receiver.received).length, new Set(bodies(receiver.received)).size, "none twice");
  await waitFor("all at the reader", () => {
    const seen = new Set(reader.events.map(({ data }) => (JSON.parse(data) as { n: number }).n));
    const missing = [...promised].filter((one) => !seen.has(one));
    if (missing.length > 0) throw new Error(`missing ${missing} of ${promised.size}`);
    return true;
  });
  assert.deepEqual(reader.gaps, []);
});

test("what only a restart can change is said, without its value", async (t) => {
  const running = await startForTest(t, "");
  writeFileSync(running.file, preamble("admin_token: a-brand-new-token").replace("./data", "./elsewhere"));
  const result = await running.daemon.reload();
  assert.ok(result.ok, JSON.stringify(result));
  assert.match(result.notes.join("\n"), /journal\.path has changed, which takes a restart/);
  assert.match(result.notes.join("\n"), /server\.admin_token has changed/);
  assert.ok(!JSON.stringify(result).includes("a-brand-new-token"));
});

test("limits and the log's level follow a reload", async (t) => {
  const yaml = "sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }\n";
  const running = await startForTest(t, yaml);
  assert.equal((await postJson(`${running.url}/in`, { id: "x".repeat(40) })).status, 200);
  running.writeConfig(`limits: { id: 16B }\nlog: { level: error }\n${yaml}`);
  assert.ok((await running.daemon.reload()).ok);
  const refused = await postJson(`${running.url}/in`, { id: "y".repeat(40) });
  assert.ok(refused.status >= 400 && refused.status < 500, String(refused.status));
  const lines = running.logged.length;
  running.daemon.log.info({}, "not at this level");
  assert.equal(running.logged.length, lines);
});

test("files replaced by rename are read anew: an editor's, and Kubernetes' switch of a symlinked folder", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-rename-"));
  const data = join(folder, "data");
  const yaml = (path: string) =>
    `${preamble().replace("./data", data)}sources: { in: { type: webhook, path: ${path}, verify: { type: none } } }\n`;
  // As a ConfigMap is mounted: conf/leat.yaml → ..data/leat.yaml, ..data → a folder that is swapped by rename.
  const conf = join(folder, "conf");
  for (const version of ["v1", "v2"]) mkdirSync(join(conf, version), { recursive: true });
  writeFileSync(join(conf, "v1/leat.yaml"), yaml("/one"));
  writeFileSync(join(conf, "v2/leat.yaml"), yaml("/two"));
  symlinkSync("v1", join(conf, "..data"));
  symlinkSync("..data/leat.yaml", join(conf, "leat.yaml"));
  const read = () => readConfiguration([join(conf, "leat.yaml")], { env: {} });
  const configuration = read();
  assert.ok(configuration.ok, JSON.stringify(configuration));
  const log = createLog({ level: "error", format: "json", stream: { write() {} } });
  const daemon = await startDaemon({ configuration, read, log });
  t.after(async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  assert.equal((await postJson(`${daemon.url}/one`, {})).status, 200);

  symlinkSync("v2", join(conf, "..data_tmp"));
  renameSync(join(conf, "..data_tmp"), join(conf, "..data"));
  assert.ok((await daemon.reload()).ok);
  assert.equal((await postJson(`${daemon.url}/two`, {})).status, 200);
  assert.equal((await postJson(`${daemon.url}/one`, {})).status, 404);

  writeFileSync(join(conf, "v2/leat.yaml.new"), yaml("/three"));
  renameSync(join(conf, "v2/leat.yaml.new"), join(conf, "v2/leat.yaml"));
  assert.ok((await daemon.reload()).ok);
  assert.equal((await postJson(`${daemon.url}/three`, {})).status, 200);
});

test("a file of which nothing is left isn't taken for the wish to have nothing", async (t) => {
  const yaml = "sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n";
  const { url, daemon, file } = await startForTest(t, yaml);
  for (const text of ["", "\n", "# all of it gone\n"]) {
    writeFileSync(file, text);
    const result = await daemon.reload();
    assert.ok(!result.ok);
    assert.match(result.problems.join("\n"), /the file is empty; /);
  }
  assert.equal((await postJson(`${url}/in`, {})).status, 200);
});

test("a reload's warnings are logged", async (t) => {
  const yaml = "sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n";
  const { daemon, logged, writeConfig } = await startForTest(t, yaml);
  writeConfig(`${yaml}sinks: { spare: { type: stdout } }\n`);
  assert.ok((await daemon.reload()).ok);
  const warned = logged.filter(({ level, msg }) => level === "warn" && msg === "configuration");
  assert.ok(warned.some(({ at }) => /sinks\.spare: no route leads to this sink/.test(String(at))));
});
