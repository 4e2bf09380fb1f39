import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MAIN } from "./e2e/daemon.ts";

/** The process takes itself for another version of Node. */
function leatOn(node: string, args: readonly string[]) {
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${node}" } })`;
  return spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`, MAIN, ...args],
    { encoding: "utf8", timeout: 20_000 },
  );
}

for (const version of ["20.19.0", "24.14.9"]) {
  test(`Node ${version} is told apart before anything else is loaded, with a remedy`, () => {
    const { status, stderr } = leatOn(version, ["--version"]);
    assert.equal(status, 1);
    assert.match(
      stderr,
      new RegExp(`this is Node ${version.replaceAll(".", "\\.")}, and Leat needs 24\\.15`),
    );
    assert.match(stderr, /npx node src\/main\.ts/);
  });
}

for (const version of ["24.15.0", "26.0.0"]) {
  test(`Node ${version} is fine`, () => {
    const { status, stdout, stderr } = leatOn(version, ["--version"]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });
}

test("every command has help with a description, and an unknown one is an error", () => {
  const help = spawnSync(process.execPath, [MAIN, "--help"], { encoding: "utf8" });
  assert.equal(help.status, 0);
  for (const command of [
    "run",
    "quickstart",
    "validate",
    "init",
    "schema",
    "send",
    "replay",
    "purge",
    "reload",
  ]) {
    assert.match(help.stdout, new RegExp(`^  ${command}\\b.*  \\S`, "m"));
  }
  const unknown = spawnSync(process.execPath, [MAIN, "rnu"], { encoding: "utf8" });
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /unknown command 'rnu'/);
  assert.match(unknown.stderr, /Did you mean run/);
});

for (const args of [["schema"], ["--help"]]) {
  test(`leat ${args.join(" ")} ends quietly when its reader has gone`, async () => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    // Long before it can have written anything.
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += chunk));
    assert.deepEqual(await once(child, "close"), [0, null], stderr);
    assert.equal(stderr, "");
  });
}

/** A device on which every write fails as on a full disk. */
const FULL = "/dev/full";

test("a command whose output can't be written says so and fails", (t) => {
  const full = openSync(FULL, "w");
  t.after(() => closeSync(full));
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "schema"], {
    stdio: ["ignore", full, "pipe"],
    encoding: "utf8",
  });
  assert.equal(stderr, "leat: the output can't be written (ENOSPC)\n");
  assert.equal(status, 1);
});

test("a command whose errors nobody can read ends with its code all the same", (t) => {
  const full = openSync(FULL, "w");
  t.after(() => closeSync(full));
  const { status } = spawnSync(process.execPath, [MAIN, "run", "--config", "/nowhere.yaml"], {
    stdio: ["ignore", "pipe", full],
  });
  assert.equal(status, 2);
});

test("what was compiled is kept for the next start; a place where it can't be kept costs nothing but time", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-compiled-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const versionWith = (cache: string) =>
    spawnSync(process.execPath, [MAIN, "--version"], {
      encoding: "utf8",
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
    });
  assert.equal(versionWith(folder).status, 0);
  assert.ok(readdirSync(folder, { recursive: true }).length > 100);
  const nowhere = versionWith(join(MAIN, "below-a-file"));
  assert.deepEqual([nowhere.status, nowhere.stderr], [0, ""]);
});
