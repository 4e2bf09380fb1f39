import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { SENDERS } from "../../src/commands/send/sign.ts";
import { hasEndpoint } from "../../src/component.ts";
import { createListener } from "../../src/http/listener.ts";
import { webhookSource } from "../../src/sources/webhook/source.ts";
import { LIMITS } from "../http/limits.ts";
import { keptLog } from "../http/log.ts";
import { TestHost } from "../sources/host.ts";

const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;
const SECRET = `whsec_${Buffer.alloc(24, 3).toString("base64")}`;

/** A real source for each sender, on a listener of its own. */
async function sources(t: TestContext): Promise<{ url: string; host: TestHost }> {
  const host = new TestHost();
  host.clock.wall = () => Date.now();
  const listener = createListener({ address: "127.0.0.1:0", log: keptLog().log, limits: LIMITS });
  listener.setEndpoints(
    SENDERS.map((sender) => {
      const config = { path: `/${sender}`, verify: { type: sender, secret: SECRET } };
      const source = webhookSource.create(webhookSource.schema.parse(config), host);
      assert.ok(hasEndpoint(source));
      return source.endpoint();
    }),
  );
  await listener.start();
  t.after(() => listener.stop(0));
  return { url: listener.url, host };
}

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function leat(args: readonly string[], stdin = ""): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, "send", ...args], { timeout: 30_000 });
  child.stdin.end(stdin);
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, stdout, stderr };
}

test("each sender's sample is taken by the source that verifies it", async (t) => {
  const { url, host } = await sources(t);
  for (const sender of SENDERS) {
    const ran = await leat([sender, "--to", `${url}/${sender}`, "--secret", SECRET, "--json"]);
    assert.equal(ran.code, 0, ran.stderr);
    const sent = JSON.parse(ran.stdout) as Record<string, unknown>;
    assert.equal(sent.status, 200);
    const event = host.appended.at(-1);
    assert.equal(event?.id, sent.id, sender);
    assert.equal(event?.type, sent.type, sender);
  }
});

test("prints the status and the answer; a forged one ends with 1 and a hint", async (t) => {
  const { url } = await sources(t);
  const taken = await leat(["stripe", "--to", `${url}/stripe`, "--secret", SECRET, "--id", "evt_7"]);
  assert.match(
    taken.stdout,
    /^payment_intent\.succeeded evt_7: 200 in \d+ ms\n\{"seq":\d+,"id":"evt_7"\}\n$/,
  );
  const forged = await leat(["stripe", "--to", `${url}/stripe`, "--secret", "whsec_other"]);
  assert.equal(forged.code, 1);
  assert.match(forged.stdout, /: 401 in/);
  assert.match(forged.stderr, /--secret one of the source's/);
  assert.ok(!forged.stderr.includes("whsec_other"));
  const lost = await leat(["stripe", "--to", `${url}/nowhere`, "--secret", SECRET]);
  assert.equal(lost.code, 1);
  assert.match(lost.stderr, /No source has this path/);
});

test("posts a file or stdin byte by byte", async (t) => {
  const { url, host } = await sources(t);
  const folder = mkdtempSync(join(tmpdir(), "leat-send-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "body.json");
  const body = '{ "id": "evt_9",\r\n "type":"t" , "größe": 1.0 }\n';
  writeFileSync(file, body);
  const ran = await leat(["stripe", "--to", `${url}/stripe`, "--secret", SECRET, "--body", file]);
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stdout, /^t evt_9: 200/);
  assert.equal(Buffer.from(host.appended[0]?.body ?? []).toString(), body);

  const piped = ["github", "--to", `${url}/github`, "--secret", SECRET, "--body", "-", "--type", "issues"];
  assert.equal((await leat(piped, "from stdin")).code, 0);
  assert.equal(Buffer.from(host.appended[1]?.body ?? []).toString(), "from stdin");
  assert.equal(host.appended[1]?.type, "issues");
});

test("what can't be sent is told with a hint, exit 1", async () => {
  const cases: [args: string[], expected: RegExp][] = [
    [["stripe", "--to", "http://127.0.0.1:1/x", "--secret", "s"], /Is the daemon running/],
    [["stripe", "--to", "localhost:8080", "--secret", "s"], /no http or https URL/],
    [["standard", "--to", "http://127.0.0.1:1", "--secret", "not base64"], /no Standard Webhooks secret/],
    [["stripe", "--to", "http://127.0.0.1:1", "--secret", "s", "--body", "/none"], /\/none can't be read/],
    [["stripe", "--to", "http://127.0.0.1:1", "--secret", "s", "--body", "-", "--id", "x"], /in its body/],
    [["github", "--to", "http://127.0.0.1:1", "--secret", "s", "--id", "a\nb"], /can't carry/],
    [["paypal", "--to", "http://127.0.0.1:1", "--secret", "s"], /Allowed choices are stripe/],
    [["stripe", "--secret", "s"], /--to/],
  ];
  for (const [args, expected] of cases) {
    const ran = await leat(args);
    assert.equal(ran.code, 1, args.join(" "));
    assert.match(ran.stderr, expected);
  }
  const json = await leat(["stripe", "--to", "http://127.0.0.1:1/x", "--secret", "s", "--json"]);
  assert.equal((JSON.parse(json.stderr) as { error: { code: string } }).error.code, "not_sent");
});
