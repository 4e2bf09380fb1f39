import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { LeatError } from "../src/errors.ts";
import { createLog, type LogLevel } from "../src/log.ts";

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
