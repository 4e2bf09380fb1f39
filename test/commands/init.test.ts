import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { initCommand } from "../../src/commands/init.ts";
import { formatProblem } from "../../src/config/load.ts";
import { runCommand } from "./run-command.ts";

function path(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-init-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "leat.yaml");
}

function problemsOf(file: string): string[] {
  const result = readConfiguration([file], { env: {} });
  return (result.ok ? result.warnings : result.problems).map(formatProblem);
}

test("writes a configuration that has nothing wrong with it, for its owner's eyes only", async (t) => {
  const file = path(t);
  const { out, code } = await runCommand(initCommand, ["init", file]);
  assert.equal(code, 0);
  assert.match(out, /leat validate .*leat\.yaml/);
  assert.deepEqual(problemsOf(file), []);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("each file has a secret of its own, which isn't printed", async (t) => {
  const secrets = [];
  for (const file of [path(t), path(t)]) {
    const { out } = await runCommand(initCommand, ["init", file]);
    const secret = /whsec_[A-Za-z0-9+/=]{44}/.exec(readFileSync(file, "utf8"))?.[0];
    assert.ok(secret && !out.includes(secret));
    secrets.push(secret);
  }
  assert.notEqual(secrets[0], secrets[1]);
});

test("the settings that are commented out are the defaults: written out, nothing changes", async (t) => {
  const file = path(t);
  await runCommand(initCommand, ["init", file]);
  const before = readConfiguration([file], { env: {} });
  const text = readFileSync(file, "utf8");
  const at = text.indexOf("# server:");
  const settings = text.slice(at).replace(/^( *)# ([a-z_]+:)/gm, "$1$2");
  writeFileSync(file, text.slice(0, at) + settings.replace(/^ +admin_token:.*$/m, ""));
  assert.deepEqual(problemsOf(file), []);
  const after = readConfiguration([file], { env: {} });
  assert.ok(before.ok && after.ok);
  assert.deepEqual(after.settings, before.settings);
  assert.deepEqual(after.plan, before.plan);
});

test("the brokers that are commented out are as they would be written", async (t) => {
  const file = path(t);
  await runCommand(initCommand, ["init", file]);
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf("# connections:"), text.indexOf("# server:")];
  writeFileSync(file, text.slice(0, from) + text.slice(from, to).replace(/^# /gm, "") + text.slice(to));
  const problems = problemsOf(file);
  assert.equal(problems.length, 3);
  for (const problem of problems)
    assert.match(problem, /warning: connections\.(kafka|mqtt|rabbitmq): no source/);
});

test("never overwrites what is there", async (t) => {
  const file = path(t);
  writeFileSync(file, "mine");
  const { err, code } = await runCommand(initCommand, ["init", file]);
  assert.equal(code, 2);
  assert.match(err, /is there already/);
  assert.equal(readFileSync(file, "utf8"), "mine");
});
