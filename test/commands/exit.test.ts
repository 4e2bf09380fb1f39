/** What a person reads where a command failed: one line, no secret, and the stack only for those who ask. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

/** `fail(…)` of an error that `script` makes, in a process of its own. */
function failing(error: string, json = false, env: Record<string, string> = {}) {
  const script = `
    import { fail } from ${JSON.stringify(import.meta.resolve("../../src/commands/exit.ts"))};
    import { LeatError } from ${JSON.stringify(import.meta.resolve("../../src/errors.ts"))};
    import { keepSecrets } from ${JSON.stringify(import.meta.resolve("../../src/secrets.ts"))};
    keepSecrets(["hunter2hunter2"]);
    fail(${error}, ${json});
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    env: { ...process.env, LEAT_LOG_LEVEL: "", ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, stderr };
}

test("an error that nobody foresaw is one line with its kind and a hint, exit 1, and no stack", () => {
  const { status, stderr } = failing('new TypeError("x is no function\\nhunter2hunter2")');
  assert.equal(status, 1);
  assert.equal(
    stderr,
    "leat: unexpected: TypeError: x is no function\n  LEAT_LOG_LEVEL=debug shows where it happened; please report it.\n",
  );
});

test("its stack is shown at debug, without secrets", () => {
  const { status, stderr } = failing('new TypeError("of hunter2hunter2 at https://u:p4ss@x/?k=1")', false, {
    LEAT_LOG_LEVEL: "debug",
  });
  assert.equal(status, 1);
  assert.match(stderr, /^leat: unexpected: TypeError: of \*\*\* at https:\/\/x\/\n {2}TypeError: .*\n\s+at /);
  assert.doesNotMatch(stderr, /hunter2|p4ss/);
});

test("an error of ours keeps its message, hint and exit code, also as JSON, without secrets", () => {
  const error =
    'new LeatError("configuration", "exists", "no hunter2hunter2 here", { hint: "go to https://a.example/?b=1" })';
  const plain = failing(error);
  assert.equal(plain.status, 2);
  assert.equal(plain.stderr, "leat: no *** here\n  go to https://a.example/?b=1\n");
  const { stderr } = failing(error, true);
  assert.deepEqual(JSON.parse(stderr), {
    error: { code: "exists", message: "no *** here", hint: "go to https://a.example/?b=1" },
  });
});

test("what a library throws while the daemon starts has no secret of the configuration in it", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-exit-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "leat.yaml");
  writeFileSync(
    file,
    `journal: { path: ./data }
server: { admin_token: "t0ken-of-the-file" }
sources: { in: { type: webhook, path: /in, verify: { type: github, secret: "\${file:./secret}" } } }
sinks: { out: { type: webhook, url: "http://127.0.0.1:9/", headers: { x-key: "\${SOME_API_KEY}" } } }
routes: { all: { from: in, to: out } }
`,
  );
  writeFileSync(join(folder, "secret"), "secret-of-a-file\n");
  const script = `
    import { fail } from ${JSON.stringify(import.meta.resolve("../../src/commands/exit.ts"))};
    import { readConfiguration } from ${JSON.stringify(import.meta.resolve("../../src/commands/configuration.ts"))};
    const loaded = readConfiguration([${JSON.stringify(file)}]);
    fail(new Error("failed with " + JSON.stringify(loaded.ok ? [loaded.plan, loaded.settings] : loaded)));
  `;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    env: { ...process.env, SOME_API_KEY: "key-of-a-variable", LEAT_LOG_LEVEL: "debug" },
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.match(stderr, /failed with .*"x-key\\*":\\*"\*\*\*/);
  assert.doesNotMatch(stderr, /t0ken-of-the-file|secret-of-a-file|key-of-a-variable/);
});
