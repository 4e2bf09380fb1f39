import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { validateCommand } from "../../src/commands/validate.ts";
import { runCommand } from "./run-command.ts";

const GOOD = `
sources: { hooks: { type: webhook, path: /hooks, verify: { type: github, secret: "\${SURELY_NOT_SET}" } } }
sinks: { out: { type: stdout }, spare: { type: stdout } }
routes: { all: { from: hooks, to: out } }
`;

function file(t: TestContext, yaml: string): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-validate-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "leat.yaml");
  writeFileSync(path, yaml);
  return path;
}

test("says ok with what is in it and exits 0, also with warnings", async (t) => {
  const path = file(t, GOOD);
  const { out, code } = await runCommand(validateCommand, ["validate", "--no-env", path]);
  const [warning, summary] = out.trimEnd().split("\n");
  assert.equal(code, 0);
  assert.match(warning ?? "", /leat\.yaml:3:33: warning: sinks\.spare: no route leads to this sink; /);
  assert.equal(summary, "ok: 1 source, 2 sinks, 1 route, 1 warning");
});

test("says every error and exits 2", async (t) => {
  const path = file(
    t,
    GOOD.replace("from: hooks", "from: hook").replace("stdout }, spare", "stdou }, spare"),
  );
  const { out, code } = await runCommand(validateCommand, ["validate", path]);
  assert.equal(code, 2);
  assert.deepEqual(out.trimEnd().replaceAll(path, "F").split("\n"), [
    `F:2:82: sources.hooks.verify.secret: the variable SURELY_NOT_SET is not set; set it, give it a default as \${SURELY_NOT_SET:-…}, or check without variables by --no-env`,
    'F:3:23: sinks.out.type: "stdou" is not known; did you mean "stdout"?',
    'F:4:24: routes.all.from: there is no source "hook"; did you mean "hooks"?',
    "3 errors",
  ]);
});

test("--json has the same in a shape that programs may rely on", async (t) => {
  const path = file(t, GOOD.replace("stdout }, spare", "stdou }, spare"));
  const { out, code } = await runCommand(validateCommand, ["validate", "--json", "--no-env", path]);
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(out), {
    ok: false,
    files: [path],
    problems: [
      {
        file: path,
        line: 3,
        column: 23,
        severity: "error",
        message: 'sinks.out.type: "stdou" is not known',
        remedy: 'did you mean "stdout"?',
      },
    ],
  });
  const good = await runCommand(validateCommand, ["validate", "--json", "--no-env", file(t, GOOD)]);
  assert.equal(good.code, 0);
  assert.equal(JSON.parse(good.out).ok, true);
});

test("a file that is not there is an error of configuration", async () => {
  const { out, code } = await runCommand(validateCommand, ["validate", "/nowhere/leat.yaml"]);
  assert.equal(code, 2);
  assert.equal(out, "/nowhere/leat.yaml: there is no such file\n1 error\n");
});
