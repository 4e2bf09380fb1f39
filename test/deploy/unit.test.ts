/** The systemd unit against what Leat does: its exit codes, its times, its variables. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { settingOptions } from "../../src/config/settings.ts";
import { EXIT_CODE } from "../../src/errors.ts";
import { only, ROOT, readUnit } from "./unit-file.ts";

const unit = readUnit();

test("what a restart can't heal isn't restarted, and everything else is", () => {
  const prevented = only(unit, "Service.RestartPreventExitStatus").split(" ").map(Number);
  assert.deepEqual(prevented, [EXIT_CODE.configuration, EXIT_CODE.damaged]);
  assert.equal(only(unit, "Service.Restart"), "on-failure");
  assert.ok(only(unit, "Service.ExecStartPre").startsWith("-"), "its failure would be tried again for ever");
});

test("its times leave Leat its own", () => {
  const defaults = readConfiguration([join(ROOT, "config/quickstart.yaml")], { env: {}, readEnv: false });
  assert.ok(defaults.ok);
  const { timeoutMs } = defaults.settings.shutdown;
  assert.ok(Number(only(unit, "Service.TimeoutStopSec")) * 1000 >= timeoutMs + 10_000);
  // Three signs of life within it, each with 5 s for the writer's answer.
  assert.ok(Number(only(unit, "Service.WatchdogSec")) >= 30);
});

/** What Node itself reads. */
const OF_NODE = ["NODE_COMPILE_CACHE"];

test("its variables are settings, its user is the one that is made, and messages of children are heard", () => {
  for (const assignment of unit.get("Service.Environment") ?? []) {
    const [variable = ""] = assignment.split("=");
    if (OF_NODE.includes(variable)) continue;
    assert.ok(
      settingOptions.some((option) => option.variable === variable),
      variable,
    );
  }
  const users = readFileSync(join(ROOT, "deploy/systemd/leat.sysusers.conf"), "utf8");
  assert.match(users, new RegExp(`^u ${only(unit, "Service.User")} - `, "m"));
  assert.equal(only(unit, "Service.Type"), "notify");
  assert.equal(only(unit, "Service.NotifyAccess"), "all");
});
