import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { runLines } from "../sources/webhook/lines/run-lines.ts";
import { waitFor } from "../wait-for.ts";

const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Begun with an open standard input. */
function begin(t: TestContext, args: readonly string[]) {
  const child: ChildProcess = spawn(process.execPath, [MAIN, "send", "lines", ...args], { timeout: 30_000 });
  t.after(() => child.kill("SIGKILL"));
  const { stdin, stdout, stderr } = child;
  assert.ok(stdin && stdout && stderr);
  stdin.on("error", () => {});
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const ran: Promise<Ran> = Promise.all([text(stdout), text(stderr), exited]).then(([out, err, code]) => {
    return { code, stdout: out, stderr: err };
  });
  return { stdin, ran };
}

test("lines are sent as they come, under an id of their own where none is given", async (t) => {
  const { url, host } = await runLines(t);
  const { stdin, ran } = begin(t, ["--to", url, "--secret", "tok"]);
  stdin.write("one\n");
  await waitFor("the first line", () => host.lines.length === 1);
  stdin.end("two");
  const { code, stdout, stderr } = await ran;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^[0-9a-f-]{36}: 200 in \d+ ms\n\{"id":"[0-9a-f-]{36}","last":2,/);
  assert.deepEqual(host.lines, ["one", "two"]);
});

test("a file's lines, by user and password, after those that were accepted", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-send-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "build.log");
  writeFileSync(file, "fifty-one\nfifty-two\n");
  const { url, host } = await runLines(t, { verify: { type: "basic", user: "ci", password: "pass" } });
  const args = ["--to", url, "--secret", "pass", "--user", "ci", "--id", "build", "--line", "51"];
  assert.equal((await begin(t, [...args, "--body", file]).ran).code, 0);
  assert.deepEqual(host.ids, ["build-51", "build-52"]);
  const missing = await begin(t, [...args, "--body", join(folder, "none")]).ran;
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /none can't be read/);
});

test("a source that stops ends it, with what was accepted, though its input goes on", async (t) => {
  const { url, host, stop } = await runLines(t);
  const { stdin, ran } = begin(t, ["--to", url, "--secret", "tok", "--id", "build"]);
  stdin.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  await stop();
  const { code, stdout } = await ran;
  assert.equal(code, 1);
  assert.match(stdout, /^build: 503 in/);
  assert.match(stdout, /"last":1/);
});

test("what can't be is said: a wrong token, a type", async (t) => {
  const { url } = await runLines(t);
  const forged = begin(t, ["--to", url, "--secret", "wrong"]);
  forged.stdin.end("one\n");
  assert.match((await forged.ran).stdout, /401/);
  const typed = await begin(t, ["--to", url, "--secret", "tok", "--type", "x"]).ran;
  assert.equal(typed.code, 1);
  assert.match(typed.stderr, /--type has no place/);
});
