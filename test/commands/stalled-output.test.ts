import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freePort, MAIN } from "../e2e/daemon.ts";
import { waitFor } from "../wait-for.ts";

/** Runs the command after it with what `argv[1]` names (`1`, `2`) on a terminal that nobody reads. */
const ON_A_TERMINAL = `
import os, pty, signal, subprocess, sys
_, terminal = pty.openpty()
which = sys.argv[1]
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL,
    stdout=terminal if "1" in which else subprocess.DEVNULL,
    stderr=terminal if "2" in which else subprocess.DEVNULL)
signal.signal(signal.SIGTERM, lambda *_: child.terminate())
sys.exit(child.wait())
`;

/** A daemon whose output is stalled, and its receiver: many events, more than any pipe or terminal takes. */
async function stalled(t: TestContext, command: readonly string[], stderr: "ignore" | "pipe") {
  const folder = mkdtempSync(join(tmpdir(), "leat-stalled-"));
  const [listen, admin] = [await freePort(), await freePort()];
  const file = join(folder, "leat.yaml");
  writeFileSync(
    file,
    `server: { listen: "127.0.0.1:${listen}", admin: "127.0.0.1:${admin}" }
journal: { type: sqlite, path: ${join(folder, "data")}, watermark: { share: 0%, size: 0B } }
shutdown: { delay: 100ms, timeout: 10s }
log: { level: trace }
sources: { hooks: { type: webhook, path: /hooks, verify: { type: none } } }
sinks: { terminal: { type: stdout } }
routes: { all: { from: hooks, to: terminal } }
`,
  );
  const argv = [...command, process.execPath, MAIN, "run", "--config", file];
  // Nobody reads the pipe: no listener is ever put on it.
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ["ignore", "ignore", stderr] });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 5_000).unref())]);
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  const within = () => ({ signal: AbortSignal.timeout(5_000) });
  const healthy = async () => (await fetch(`http://127.0.0.1:${admin}/healthz`, within())).ok;
  await waitFor("the daemon", healthy, 30_000);
  const body = JSON.stringify({ text: "x".repeat(1_000) });
  for (let sent = 0; sent < 400; sent++) {
    const { status } = await fetch(`http://127.0.0.1:${listen}/hooks`, { method: "POST", body, ...within() });
    assert.equal(status, 200);
  }
  assert.ok(await healthy());
  child.kill("SIGTERM");
  const late = new Promise((resolve) => setTimeout(resolve, 20_000, "late").unref());
  assert.deepEqual(await Promise.race([ended, late]), [0, null]);
}

test("a reader of stderr that stalls holds nothing up", (t) => stalled(t, [], "pipe"));

test("a terminal that nobody reads, for the log, holds nothing up", (t) =>
  stalled(t, ["python3", "-c", ON_A_TERMINAL, "2"], "ignore"));

test("a terminal that nobody reads, for a `stdout` sink, holds nothing up", (t) =>
  stalled(t, ["python3", "-c", ON_A_TERMINAL, "1"], "ignore"));
