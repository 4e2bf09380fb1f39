import assert from "node:assert/strict";
import { test } from "node:test";
import { LeatError } from "../../../../src/errors.ts";
import type { Clock } from "../../../../src/ports.ts";
import { waitFor } from "../../../wait-for.ts";
import { LineHost, runLines } from "./run-lines.ts";

const ID = { "leat-request-id": "log" };

const codeOf = (json: Record<string, unknown>) => (json.error as { code: string } | undefined)?.code;

test("a disk that fails ends the stream before the line that didn't get there", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin(ID);
  producer.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  host.failure = new LeatError("storage", "storage_error", "the disk at /var/secret failed");
  const { status, json } = await producer.end("two\nthree\n");
  assert.equal(status, 503);
  assert.equal(json.last, 1);
  assert.ok(!JSON.stringify(json).includes("/var/secret"));
});

test("a defect is a 500 and logged, and the next stream is taken", async (t) => {
  const { host, begin, logged } = await runLines(t);
  host.failure = new TypeError("a mistake of ours");
  const { status, json } = await begin(ID).end("one\n");
  assert.equal(status, 500);
  assert.equal(codeOf(json), "internal");
  assert.deepEqual(
    logged.splice(0).map(({ message }) => message),
    ["an endpoint failed"],
  );
  host.failure = null;
  assert.equal((await begin(ID).end("one\n")).status, 200);
});

test("lines that aren't whole share a memory: who finds it full is told to come again", async (t) => {
  const host = new LineHost();
  host.maxEventBytes = 200 * 1024 * 1024;
  const { begin } = await runLines(t, {}, { host });
  const producer = begin(ID);
  producer.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  const { status, json } = await producer.end(Buffer.alloc(70 * 1024 * 1024, "x"));
  assert.equal(status, 503);
  assert.equal(json.last, 1);
  assert.equal(host.ends[0]?.said.reason, "crowded");
  assert.equal((await begin(ID).end("one\ntwo\n")).json.last, 2, "the memory is given back");
});

/** Time goes by only as a test says. */
class StillHost extends LineHost {
  now = 0;
  timers: { at: number; callback: () => void }[] = [];
  override readonly clock: Clock = {
    wall: () => this.now,
    monotonic: () => this.now,
    after: (ms, callback) => {
      const timer = { at: this.now + ms, callback };
      this.timers.push(timer);
      return () => {
        this.timers = this.timers.filter((other) => other !== timer);
      };
    },
  };

  goTo(now: number): void {
    this.now = now;
    const due = this.timers.filter(({ at }) => at <= now);
    this.timers = this.timers.filter(({ at }) => at > now);
    for (const { callback } of due) callback();
  }
}

test("a process that stood still cuts nobody off for it, and a producer that is silent afterwards is", async (t) => {
  const host = new StillHost();
  const { begin } = await runLines(t, { stream: { type: "lines", idle: "10s" } }, { host });
  const producer = begin(ID);
  producer.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  host.goTo(9_000);
  producer.write("two\n");
  await waitFor("the second line", () => host.lines.length === 2);
  host.goTo(10_000);
  host.goTo(3_600_000);
  producer.write("three\n");
  await waitFor("the third line", () => host.lines.length === 3);
  host.goTo(3_609_900);
  host.goTo(3_610_000);
  const { status, json } = await producer.answer;
  assert.equal(status, 408);
  assert.equal(json.last, 3);
  assert.deepEqual(host.timers, [], "nothing is left behind");
});

test("floods of streams under one id, and of garbage, leave the source as it was", async (t) => {
  const { host, begin } = await runLines(t);
  const flood = Array.from({ length: 60 }, () => begin(ID).end("one\ntwo\n"));
  const statuses = new Set((await Promise.all(flood)).map(({ status }) => status));
  assert.ok(statuses.has(200) && [...statuses].every((status) => status === 200 || status === 409));
  assert.deepEqual(host.lines, ["one", "two"]);
  for (let n = 0; n < 30; n++) {
    const producer = begin({ "content-type": `x${n}` });
    producer.write(Buffer.from(Array.from({ length: 2000 }, (_, at) => (at * 7919 * (n + 1)) & 0xff)));
    producer.request.destroy();
  }
  assert.equal((await begin({ "leat-request-id": "after" }).end("three\n")).json.last, 1);
});
