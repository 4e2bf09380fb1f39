/** A real daemon and what it tells its service manager, on a real socket, by systemd's own command. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { openNotifySocket } from "../../src/daemon/notify-socket.ts";
import { type Daemon, makeDaemon } from "../e2e/daemon.ts";
import { keptLog } from "../http/log.ts";
import { waitFor } from "../wait-for.ts";
import { type ListeningManager, startListeningManager } from "./listening-manager.ts";

const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: stdout } }
routes: { all: { from: in, to: out } }
`;

interface Managed {
  readonly daemon: Daemon;
  readonly manager: ListeningManager;
}

/** Started, and told of. */
async function managed(t: TestContext, env: Record<string, string> = {}): Promise<Managed> {
  const manager = await startListeningManager();
  const daemon = await makeDaemon(YAML, { NOTIFY_SOCKET: manager.socket, ...env });
  t.after(async () => {
    await daemon.close();
    await manager.close();
  });
  await daemon.start();
  return { daemon, manager };
}

test("READY comes once it is ready, and STOPPING with the time that it may take", async (t) => {
  const { daemon, manager } = await managed(t);
  await waitFor("READY", () => manager.last("READY") === "1");
  const first = manager.told[0] ?? {};
  assert.equal(first.STATUS, "Opening the journal");
  assert.ok(Number(first.EXTEND_TIMEOUT_USEC) >= 30_000_000, "a long recovery has its time");
  assert.equal(manager.last("STATUS"), "Running");

  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  const stopping = await waitFor("STOPPING", () => manager.told.find((message) => "STOPPING" in message));
  // shutdown.timeout is 10 s.
  assert.equal(stopping.EXTEND_TIMEOUT_USEC, "20000000");
  assert.ok(
    manager.told.every((message) => !("WATCHDOG" in message)),
    "nobody asked for signs of life",
  );
  assert.doesNotMatch(daemon.output(), /service manager/);
});

test("a reload is told around: RELOADING with the monotonic clock, then READY, also where it changed nothing", async (t) => {
  const { daemon, manager } = await managed(t);
  await waitFor("READY", () => manager.last("READY"));
  for (const [yaml, status] of [
    [YAML.replace("/in", "/other"), /^Running$/],
    [`${YAML}\nsinkz: {}\n`, /^Running \(the last reload changed nothing: .*leat\.yaml:\d+:\d+: /],
  ] as const) {
    const before = manager.told.length;
    daemon.writeConfig(yaml);
    const asked = process.hrtime.bigint() / 1000n;
    daemon.signal("SIGHUP");
    await waitFor("READY again", () => manager.told.slice(before).some((message) => "READY" in message));
    const [reloading = {}, ready = {}] = manager.told.slice(before);
    assert.equal(reloading.RELOADING, "1");
    const told = BigInt(reloading.MONOTONIC_USEC ?? 0);
    assert.ok(told >= asked && told <= process.hrtime.bigint() / 1000n, "CLOCK_MONOTONIC, in microseconds");
    assert.match(ready.STATUS ?? "", status);
  }
});

test("signs of life come at the pace asked for, stop while the journal's writer or the event loop hangs, and go on after", async (t) => {
  const hang = mkdtempSync(join(tmpdir(), "leat-hang-"));
  t.after(() => rmSync(hang, { recursive: true, force: true }));
  const { daemon, manager } = await managed(t, {
    WATCHDOG_USEC: "1200000",
    HANG_FOLDER: hang,
    NODE_OPTIONS: `--import ${resolve(import.meta.dirname, "hang.ts")}`,
  });
  const signs = () => manager.told.filter(({ WATCHDOG }) => WATCHDOG === "1").length;
  await waitFor("three signs of life", () => signs() >= 3);

  for (const thread of ["journal writer", "main"]) {
    const file = join(hang, thread);
    writeFileSync(file, "");
    // One may be under way. Twice the time asked for: a manager would have restarted it.
    let count = signs();
    let since = performance.now();
    await waitFor(`${thread} to be silent`, () => {
      if (signs() > count) [count, since] = [signs(), performance.now()];
      return performance.now() - since > 2400;
    });
    rmSync(file);
    await waitFor(`${thread} to be heard of again`, () => signs() > count);
  }
  assert.match(daemon.output(), /the watchdog isn't told that Leat works.*|"trouble":"the journal's writer/);
  assert.match(daemon.output(), /the watchdog is told again/);
});

test("a watchdog of another process is none of ours", async (t) => {
  const { daemon, manager } = await managed(t, { WATCHDOG_USEC: "300000", WATCHDOG_PID: "1" });
  await waitFor("READY", () => manager.last("READY"));
  daemon.signal("SIGHUP");
  await waitFor("READY again", () => manager.told.filter(({ READY }) => READY === "1").length === 2);
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  await waitFor("STOPPING", () => manager.last("STOPPING"));
  assert.equal(manager.last("WATCHDOG"), undefined);
});

test("a value can't bring assignments of its own, nor outgrow a datagram, and messages keep their order", async (t) => {
  const manager = await startListeningManager();
  t.after(() => manager.close());
  const { PATH } = process.env;
  const socket = openNotifySocket({ env: { NOTIFY_SOCKET: manager.socket, PATH }, log: keptLog().log });
  assert.ok(socket !== null);
  const sent = [
    socket.send({ STATUS: "paused: lunch\nMAINPID=1\r\n" }),
    socket.send({ STATUS: "👋".repeat(10_000) }),
    socket.send({ STATUS: "" }),
  ];
  await Promise.all(sent);
  await waitFor("the last of them", () => manager.told.length === 3);
  assert.deepEqual(manager.told, [
    { STATUS: "paused: lunch MAINPID=1 " },
    { STATUS: `${"👋".repeat(500)}…` },
    { STATUS: "" },
  ]);
});

test("where systemd-notify is missing one line says so, and the daemon runs", async (t) => {
  const { daemon } = await managed(t, { PATH: "/nowhere", WATCHDOG_USEC: "300000" });
  await waitFor("the warning", () => daemon.output().includes("systemd-notify"));
  daemon.signal("SIGHUP");
  await waitFor("the reload", () => daemon.output().includes("configuration reloaded"));
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  assert.equal(daemon.output().split("the service manager couldn't be told").length, 2);
});

test("where nobody listens on the socket the daemon runs all the same", async (t) => {
  const { daemon } = await managed(t, { NOTIFY_SOCKET: "/nowhere/socket" });
  await waitFor("the warning", () => daemon.output().includes("the service manager couldn't be told"));
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
});
