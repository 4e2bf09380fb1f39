import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { cloudEventLine, LineSink } from "../../src/sinks/stdout.ts";
import { waitFor } from "../wait-for.ts";
import { message } from "./webhook/kit.ts";

const never = new AbortController().signal;

test("a line of JSON holds the event after CloudEvents, and where it came by", () => {
  const body = Buffer.from('{"a":[1,"ä\\n"]}');
  const { time } = message().event;
  assert.deepEqual(JSON.parse(cloudEventLine(message({ body }))), {
    specversion: "1.0",
    id: "e1",
    source: "stripe",
    type: "test",
    time: new Date(time).toISOString(),
    datacontenttype: "application/json",
    seq: 1795224065810042,
    route: "payments",
    data: { a: [1, "ä\n"] },
  });
});

test("text stays text, bytes that are none come in base64, and no body breaks the line", () => {
  const line = (body: Buffer, contentType: string | null) =>
    JSON.parse(cloudEventLine(message({ body, contentType, attempt: 2, replay: 1 })));
  assert.equal(line(Buffer.from("a\nb"), "text/plain").data, "a\nb");
  assert.equal(line(Buffer.from("7"), "text/plain").data, "7");
  assert.equal(line(Buffer.from("7"), null).data, 7);
  assert.equal(line(Buffer.from("{broken"), "application/json").data, "{broken");
  const { data_base64, data, attempt, replay } = line(Buffer.from([0xff, 0]), "application/json");
  assert.deepEqual([data_base64, data, attempt, replay], ["/wA=", undefined, 2, 1]);
});

test("a body that is JSON keeps its digits, on one line, however deep it is", () => {
  const pretty = '{\r\n  "n": 1234567890123456789,\n\n  "one": 1.0, "text": "a\\nb"\n}';
  const line = cloudEventLine(message({ body: Buffer.from(pretty) }));
  assert.ok(line.endsWith('"data":{"n": 1234567890123456789,"one": 1.0, "text": "a\\nb"}}'), line);
  assert.doesNotMatch(line, /[\r\n]/);
  const deep = "[".repeat(20_000) + "]".repeat(20_000);
  assert.ok(cloudEventLine(message({ body: Buffer.from(deep) })).endsWith(`"data":${deep}}`));
});

test("an event that makes no line is dead at once, and holds no other back", async () => {
  const sink = new LineSink(new PassThrough(), "json");
  const good = message();
  const poison = { ...good, event: { ...good.event, time: Number.NaN } };
  const report = await sink.deliver(poison, never);
  assert.equal(report.result === "rejected" && report.error, "unwritable");
  assert.deepEqual(await sink.deliver(good, never), { result: "delivered" });
});

test("while nobody reads, repeated attempts leave no more lines in memory", async () => {
  const taken: (() => void)[] = [];
  const out = new Writable({
    highWaterMark: 16,
    write: (_chunk, _encoding, callback) => taken.push(callback),
  });
  const sink = new LineSink(out, "json");
  await sink.start();
  const first = sink.deliver(message(), never);
  await sink.deliver(message(), AbortSignal.abort());
  const waiting = out.writableLength;
  const tries = Array.from({ length: 20 }, () => new AbortController());
  const reports = tries.map(({ signal }) => sink.deliver(message(), signal));
  for (const attempt of tries) attempt.abort();
  for (const report of await Promise.all(reports)) assert.equal(report.result, "failed");
  assert.equal(out.writableLength, waiting);
  taken[0]?.();
  assert.deepEqual(await first, { result: "delivered" });
  const next = sink.deliver(message(), never);
  await waitFor("room", () => taken.length > 1);
  taken[1]?.();
  assert.deepEqual(await next, { result: "delivered" });
});

test("`format: body` writes the bytes and a line's end", async () => {
  const out = new PassThrough();
  const sink = new LineSink(out, "body");
  await sink.start();
  const body = Buffer.from([0xff, 0x00, 0x41]);
  assert.deepEqual(await sink.deliver(message({ body }), never), { result: "delivered" });
  assert.deepEqual(out.read(), Buffer.from([0xff, 0x00, 0x41, 0x0a]));
});

test("a line is delivered when the stream has taken it, and given up at the time-out", async () => {
  const taken: (() => void)[] = [];
  const out = new Writable({ write: (_chunk, _encoding, callback) => taken.push(callback) });
  const sink = new LineSink(out, "json");
  await sink.start();
  const first = sink.deliver(message(), never);
  const controller = new AbortController();
  const second = sink.deliver(message(), controller.signal);
  taken[0]?.();
  assert.deepEqual(await first, { result: "delivered" });
  controller.abort();
  const report = await second;
  assert.equal(report.result === "failed" && report.error, "timeout");
});

test("a reader who has gone (EPIPE) is a failed delivery, not the end of the daemon", async (t) => {
  const child = spawn(process.execPath, ["-e", "process.stdin.destroy()"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  t.after(() => child.kill());
  const sink = new LineSink(child.stdin, "json");
  await sink.start();
  const report = await waitFor("a failure", async () => {
    const report = await sink.deliver(message(), AbortSignal.timeout(1000));
    return report.result === "failed" && report.error === "closed" ? report : null;
  });
  assert.equal(report.result, "failed");
  await sink.stop();
});
