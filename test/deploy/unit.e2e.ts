/** The systemd unit by systemd's own tools, and its commands run as it has them, with a stand-in for the manager. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freePort } from "../e2e/daemon.ts";
import { waitFor } from "../wait-for.ts";
import { startListeningManager } from "./listening-manager.ts";
import { only, readUnit, relocated, UNIT } from "./unit-file.ts";

/** Where the unit's paths lead to, for one test. */
function installed(t: TestContext): { folder: string; text: string } {
  const folder = mkdtempSync(join(tmpdir(), "leat-unit-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "etc"));
  // What StateDirectory= does.
  mkdirSync(join(folder, "state"));
  return { folder, text: relocated(readFileSync(UNIT, "utf8"), folder) };
}

test("systemd-analyze verify finds nothing", (t) => {
  const { folder, text } = installed(t);
  const file = join(folder, "leat.service");
  writeFileSync(file, text);
  const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], {
    encoding: "utf8",
  });
  assert.equal(stdout + stderr, "");
  assert.equal(status, 0);
});

test("systemd-analyze security says that little is exposed", () => {
  const report = execFileSync("systemd-analyze", ["security", "--offline=true", "--no-pager", UNIT], {
    encoding: "utf8",
  });
  const [, exposure] = /exposure level for leat\.service: ([\d.]+)/.exec(report) ?? [];
  assert.ok(Number(exposure) <= 1.5, report.split("\n").at(-2));
});

test("its commands start, reload and stop Leat, and a bad file fails the reload and changes nothing", async (t) => {
  const { folder, text } = installed(t);
  const unit = readUnit(text);
  const manager = await startListeningManager();
  t.after(() => manager.close());
  const file = join(folder, "etc/leat.yaml");
  const [listen, admin] = [await freePort(), await freePort()];
  const yaml = `server: { listen: "127.0.0.1:${listen}", admin: "127.0.0.1:${admin}" }
journal: { watermark: { share: 0%, size: 0B } }
shutdown: { delay: 0s, timeout: 10s }
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: stdout } }
routes: { all: { from: in, to: out } }
`;
  writeFileSync(file, yaml);
  const env = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ...Object.fromEntries((unit.get("Service.Environment") ?? []).map((one) => one.split(/=(.*)/s, 2))),
  } as Record<string, string>;
  const command = (line: string, pid = 0) => {
    const [program = "", ...args] = line.replace(/^-/, "").replaceAll("$MAINPID", String(pid)).split(" ");
    return { program, args };
  };
  const run = (line: string, pid = 0) => {
    const { program, args } = command(line, pid);
    return spawnSync(program, args, { env, cwd: "/", encoding: "utf8" });
  };

  const { program, args } = command(only(unit, "Service.ExecStart"));
  const checked = run(only(unit, "Service.ExecStartPre"));
  assert.equal(checked.status, 0, checked.stderr);
  const main: ChildProcess = spawn(program, args, {
    cwd: "/",
    env: {
      ...env,
      NOTIFY_SOCKET: manager.socket,
      WATCHDOG_USEC: String(Number(only(unit, "Service.WatchdogSec")) * 1e6),
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let printed = "";
  main.stderr?.on("data", (chunk) => (printed += chunk));
  t.after(() => main.kill("SIGKILL"));
  await waitFor("READY", () => {
    if (main.exitCode !== null) throw new Error(`it ended with ${main.exitCode}: ${printed}`);
    return manager.last("READY");
  });
  await waitFor("the first sign of life", () => manager.last("WATCHDOG"));
  assert.ok((await fetch(`http://127.0.0.1:${admin}/readyz`)).ok);

  const reload = () =>
    (unit.get("Service.ExecReload") ?? []).every((line) => run(line, main.pid).status === 0);
  const pid = readFileSync(join(folder, "state/journal/pid"), "utf8").trim();
  assert.equal(pid, String(main.pid), "the journal is where StateDirectory= lets it be");
  assert.equal(reload(), true);
  await waitFor("RELOADING and READY", () => manager.told.filter(({ READY }) => READY === "1").length === 2);
  writeFileSync(file, `${yaml}sinkz: {}\n`);
  assert.equal(reload(), false);
  assert.equal(manager.told.filter((message) => "RELOADING" in message).length, 1);

  main.kill("SIGTERM");
  const [code] = await once(main, "exit");
  assert.equal(code, 0, printed);
  // As a restart would: the file is still a bad one.
  const again = run(only(unit, "Service.ExecStart"));
  assert.equal(String(again.status), only(unit, "Service.RestartPreventExitStatus").split(" ")[0]);
  assert.match(again.stderr, /leat\.yaml:7:1: unknown key "sinkz"/);
});
