import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { LeatError } from "../src/errors.ts";
import { createLog, type LogLevel } from "../src/log.ts";
import { keepSecrets } from "../src/secrets.ts";

function logInto(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level,
    format: "json",
    stream: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  return { log, lines };
}

test("writes a fixed message with its fields as one line of JSON, the time in RFC 3339", () => {
  const { log, lines } = logInto("info");
  log.info({ sink: "billing", attempt: 2 }, "delivered");
  const [line] = lines;
  assert.equal(line?.msg, "delivered");
  assert.equal(line?.level, "info");
  assert.equal(line?.sink, "billing");
  assert.match(String(line?.time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test("a new level holds for loggers that exist already", () => {
  const { log, lines } = logInto("warn");
  const child = log.child({ source: "stripe" });
  child.info({}, "quiet");
  log.setLevel("info");
  child.info({}, "told");
  assert.deepEqual(
    lines.map(({ msg, source }) => ({ msg, source })),
    [{ msg: "told", source: "stripe" }],
  );
});

test("no credential gets through: addresses, headers, tokens, an error's other fields", () => {
  const { log, lines } = logInto("trace");
  const failure = Object.assign(new Error("connect amqp://leat:hunter2@mq:5672/x?heartbeat=1 failed"), {
    options: { password: "hunter2" },
  });
  log.info(
    {
      url: "https://user:hunter2@example.com/hook?token=hunter2#hunter2",
      target: new URL("https://user:hunter2@example.com/a?sig=hunter2"),
      headers: { authorization: "Bearer hunter2" },
      authorization: "hunter2",
      adminToken: "hunter2",
      err: new LeatError("internal", "broken", "it broke", { cause: failure }),
    },
    "all at once",
  );
  const text = JSON.stringify(lines);
  assert.doesNotMatch(text, /hunter2/);
  assert.match(text, /https:\/\/example\.com\/hook"/);
  assert.match(text, /amqp:\/\/mq:5672\/x failed/);
});

test("no credential gets through however deep it lies: in maps, lists, errors, bytes", () => {
  const { log, lines } = logInto("debug");
  const request = { authorization: "Bearer hunter2", url: "https://u:hunter2@example.com/a?sig=hunter2" };
  const failure = new Error("it failed", {
    cause: Object.assign(new Error("https://u:hunter2@x/"), { request }),
  });
  log.warn(
    {
      at: {
        deep: [{ request, headers: { "x-api-key": "hunter2" }, apiKey: "hunter2", db_password: "hunter2" }],
      },
      failures: [failure],
      err: { response: { token: "hunter2" } },
      sent: { body: "hunter2", bytes: Buffer.from("hunter2") },
      byName: new Map([["clientSecret", "hunter2"]]),
    },
    "all at once",
  );
  assert.doesNotMatch(JSON.stringify(lines), /hunter2/);
  assert.match(JSON.stringify(lines), /"url":"https:\/\/example\.com\/a"/);
  assert.match(JSON.stringify(lines), /"message":"it failed"/);
  assert.match(JSON.stringify(lines), /7 bytes/);
});

test("a secret that is known by its value is in no text, wherever a library puts it", () => {
  keepSecrets([
    "s3cr3t-Value/1",
    "short",
    "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIHc8\n-----END KEY-----",
  ]);
  const { log, lines } = logInto("debug");
  const failure = new RangeError("invalid key s3cr3t-Value/1", { cause: new Error("s3cr3t-Value%2F1") });
  log.error({ err: failure, list: ["a", { line: "MC4CAQAwBQYDK2VwBCIEIHc8" }] }, "it failed");
  log.error({ err: "thrown: s3cr3t-Value/1", detail: "a short one stays" }, "it failed");
  const text = JSON.stringify(lines);
  assert.doesNotMatch(text, /s3cr3t|MC4CAQ/);
  assert.match(text, /invalid key \*\*\*/);
  assert.match(text, /a short one stays/);
});

test("what lies too deep or goes round is cut, and the line is written", () => {
  const { log, lines } = logInto("info");
  const round: Record<string, unknown> = { n: 1n };
  round.self = round;
  log.info({ round, many: Array(1000).fill(1), when: new Date(0) }, "round");
  assert.equal(lines[0]?.msg, "round");
  assert.ok(JSON.stringify(lines[0]).length < 2000);
  assert.equal(lines[0]?.when, "1970-01-01T00:00:00.000Z");
});

test("payloads pass at trace only", () => {
  const { log, lines } = logInto("trace");
  log.debug({ body: "the card's number" }, "received");
  log.trace({ body: "the card's number" }, "received");
  assert.equal(lines[0]?.body, undefined);
  assert.equal(lines[1]?.body, "the card's number");
});

test("an error that is a refusal has code and hint but no stack; a defect has its stack", () => {
  const { log, lines } = logInto("info");
  log.warn(
    { err: new LeatError("unavailable", "journal_full", "no room", { hint: "make room" }) },
    "refused",
  );
  log.error({ err: new TypeError("oops") }, "defect");
  const [refusal, defect] = lines.map(({ err }) => err as Record<string, unknown>);
  assert.equal(refusal?.code, "journal_full");
  assert.equal(refusal?.hint, "make room");
  assert.equal(refusal?.stack, undefined);
  assert.match(String(defect?.stack), /TypeError: oops/);
});

test("a log that can't be written costs itself and not the process, and bounded memory", (t) => {
  const full = openSync("/dev/full", "w");
  t.after(() => closeSync(full));
  const script = `
    import { createLog } from ${JSON.stringify(import.meta.resolve("../src/log.ts"))};
    const log = createLog({ level: "info", format: "json" });
    const before = process.memoryUsage().heapUsed;
    for (let line = 0; line < 40_000; line++) log.info({ line, text: "x".repeat(1000) }, "a line");
    const grown = process.memoryUsage().heapUsed - before;
    process.exitCode = grown < 30e6 ? 7 : 8;
  `;
  const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "ignore", full],
    timeout: 20_000,
  });
  assert.equal(status, 7);
});
