/** What the supervisor says at which time: a clock that is told what time it is, a real socket and systemd's own command. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Readiness, ReloadResult } from "../../src/daemon/face.ts";
import { Supervisor } from "../../src/daemon/supervisor.ts";
import { keptLog, type LogLine } from "../http/log.ts";
import { SimulatedClock } from "../journal/simulation/simulated-clock.ts";
import { waitFor } from "../wait-for.ts";
import { type ListeningManager, startListeningManager } from "./listening-manager.ts";

const MINUTE = 60_000;
const RUNNING: Readiness = { ready: true, phase: "running", reasons: [], degraded: [] };
const DONE: ReloadResult = { ok: true, added: [], changed: [], removed: [], notes: [], warnings: [] };

interface Told {
  readonly supervisor: Supervisor;
  readonly manager: ListeningManager;
  readonly clock: SimulatedClock;
  readonly lines: readonly LogLine[];
}

async function supervised(t: TestContext, env: Record<string, string> = {}): Promise<Told> {
  const manager = await startListeningManager();
  t.after(() => manager.close());
  const clock = new SimulatedClock();
  const { log, lines } = keptLog();
  const supervisor = new Supervisor({
    env: { NOTIFY_SOCKET: manager.socket, PATH: process.env.PATH, ...env },
    pid: process.pid,
    clock,
    log,
  });
  return { supervisor, manager, clock, lines };
}

const told = (manager: ListeningManager, count: number) =>
  waitFor(`message ${count}`, () => manager.told.length >= count);

test("a start that takes long asks for more time again and again, but not for ever, and not once it is ready", async (t) => {
  const { supervisor, manager, clock } = await supervised(t);
  supervisor.starting();
  await told(manager, 1);
  for (let n = 2; n <= 4; n++) {
    const asked = Number(manager.last("EXTEND_TIMEOUT_USEC")) / 1000;
    clock.pass(10_000);
    await told(manager, n);
    assert.ok(asked > 10_000, "it asks anew long before that is over");
  }
  supervisor.ready({ journal: { ping: async () => {} }, readiness: () => RUNNING });
  await waitFor("READY", () => manager.last("READY"));
  const count = manager.told.length;
  clock.pass(10 * MINUTE);
  await supervisor.stopping(1000);
  await waitFor("STOPPING", () => manager.last("STOPPING"));
  assert.equal(manager.told.length, count + 1, "nothing is new, and nobody asked for signs of life");
});

test("of a start that takes over an hour somebody should hear", async (t) => {
  const { supervisor, manager, clock } = await supervised(t);
  supervisor.starting();
  clock.pass(61 * MINUTE);
  // One every ten seconds of the first hour.
  await supervisor.stopping(0);
  await waitFor("STOPPING", () => manager.last("STOPPING"), 60_000);
  assert.equal(manager.told.length, 1 + 360 + 1);
});

test("while one reload waits for another it isn't ready, and once it stops it isn't ready any more", async (t) => {
  const { supervisor, manager } = await supervised(t);
  const reloads: ((result: ReloadResult) => void)[] = [];
  const daemon = {
    readiness: () => RUNNING,
    reload: () => new Promise<ReloadResult>((resolve) => void reloads.push(resolve)),
  };
  const both = [supervisor.reload(daemon), supervisor.reload(daemon)];
  await told(manager, 2);
  assert.deepEqual(
    manager.told.map(({ RELOADING }) => RELOADING),
    ["1", "1"],
  );
  reloads[0]?.({ ok: false, problems: ["a", "b"] });
  await both[0];
  assert.equal(manager.last("READY"), undefined);
  reloads[1]?.(DONE);
  await both[1];
  await told(manager, 3);
  assert.deepEqual(manager.told[2], { READY: "1", STATUS: "Running" });

  const last = supervisor.reload(daemon);
  await supervisor.stopping(1000);
  reloads[2]?.(DONE);
  await last;
  await waitFor("STOPPING", () => manager.last("STOPPING"));
  assert.deepEqual(
    manager.told.slice(3).map((message) => Object.keys(message)[0]),
    ["RELOADING", "STOPPING"],
  );
});

test("where nobody asked for signs of life the status is told when it changes, and a writer that hangs is not its affair", async (t) => {
  const { supervisor, manager, clock, lines } = await supervised(t);
  let readiness = RUNNING;
  supervisor.ready({
    journal: { ping: () => Promise.reject(new Error("silent")) },
    readiness: () => readiness,
  });
  await told(manager, 1);
  for (const status of ["Running, degraded: sink a: x", "Running"]) {
    readiness = { ...RUNNING, degraded: status === "Running" ? [] : [{ part: "sink a", reason: "x" }] };
    await waitFor(status, () => {
      clock.pass(MINUTE / 3);
      return manager.last("STATUS") === status;
    });
  }
  assert.deepEqual(lines, []);
});
