import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { LeatError } from "../../../../src/errors.ts";
import { LIMITS } from "../../../http/limits.ts";
import { RawClient } from "../../../http/raw-client.ts";
import { waitFor } from "../../../wait-for.ts";
import { headersOf, runLines } from "./run-lines.ts";

const ID = { "leat-request-id": "job-7" };

test("each line is an event while the request still goes on, in order, keyed by the request and numbered", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin({ ...ID, "content-type": "text/plain", "x-job": "seven" }, "/builds/7");
  producer.write("one\n");
  await waitFor("the first line", () => host.lines.length === 1);
  producer.write("two\nthree\nfo");
  await waitFor("the third line", () => host.lines.length === 3);
  const { status, headers, json } = await producer.end("ur\n");
  assert.equal(status, 200);
  assert.deepEqual(host.lines, ["one", "two", "three", "four"]);
  assert.deepEqual(host.ids, ["job-7-1", "job-7-2", "job-7-3", "job-7-4"]);
  for (const event of host.appended) {
    assert.equal(event.key, "job-7");
    assert.equal(event.subject, "builds/7");
    assert.equal(headersOf(event)["x-job"], "seven");
    assert.equal(headersOf(event).authorization, undefined);
  }
  assert.deepEqual(json, { id: "job-7", last: 4, accepted: 4, seq: host.appended[3]?.seq });
  assert.equal(headers["leat-request-id"], "job-7");
  assert.equal(headers["leat-last"], "4");
});

test("the end is an event of its own, on disk before the answer", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin(ID);
  producer.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  host.holding = true;
  const answer = producer.end();
  await waitFor("the end to be on its way", () => host.waiting === 1);
  let answered = false;
  void answer.then(() => (answered = true));
  assert.equal(answered, false);
  host.commit();
  assert.equal((await answer).status, 200);
  assert.deepEqual(host.ends, [
    { type: "stream.end", id: "job-7-1-end", said: { stream: "job-7", last: 1 } },
  ]);
  assert.equal(headersOf(host.appended[1] as { headers: Uint8Array })["content-type"], "application/json");
});

test("a producer that goes away leaves an event that says the last line accepted", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin(ID);
  producer.write("one\ntwo\nhal");
  await waitFor("two lines", () => host.lines.length === 2);
  producer.request.destroy();
  await waitFor("the event", () => host.ends.length === 1);
  assert.deepEqual(host.lines, ["one", "two"], "half a line is none");
  const [end] = host.ends;
  assert.equal(end?.type, "stream.aborted");
  assert.equal(end?.id, null, "each time it is news");
  assert.deepEqual(end?.said, { stream: "job-7", last: 2, reason: "closed" });
});

test("a producer says by a trailer, or by a header, that it failed", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin({ ...ID, trailer: "leat-failed" });
  producer.write("one\n");
  producer.request.addTrailers({ "leat-failed": "exit code 2" });
  assert.equal((await producer.end()).status, 200);
  assert.equal(
    (await begin({ "leat-request-id": "job-8", "leat-failed": "out of memory" }).end()).status,
    200,
  );
  assert.deepEqual(host.ends, [
    {
      type: "stream.failed",
      id: "job-7-1-failed",
      said: { stream: "job-7", last: 1, reason: "exit code 2" },
    },
    {
      type: "stream.failed",
      id: "job-8-0-failed",
      said: { stream: "job-8", last: 0, reason: "out of memory" },
    },
  ]);
  assert.equal(headersOf(host.appended[1] as { headers: Uint8Array })["leat-failed"], undefined);
});

test("a repeat with the same id resumes: what was accepted is a duplicate, and a header may begin after it", async (t) => {
  const { host, begin } = await runLines(t);
  const first = begin(ID);
  first.write("one\ntwo\n");
  await waitFor("two lines", () => host.lines.length === 2);
  first.request.destroy();
  await waitFor("the abort", () => host.ends.length === 1);

  const { json } = await begin(ID).end("one\ntwo\nthree\n");
  assert.deepEqual(json, { id: "job-7", last: 3, accepted: 1, duplicates: 2, seq: host.appended[3]?.seq });
  assert.deepEqual(host.lines, ["one", "two", "three"]);

  const later = await begin({ ...ID, "leat-line": "4" }).end("four\n");
  assert.equal(later.json.last, 4);
  assert.deepEqual(host.ids.at(-1), "job-7-4");
  for (const event of host.appended.slice(-2)) assert.equal(headersOf(event)["leat-line"], undefined);

  const again = await begin(ID).end("one\ntwo\nother\nfour\n");
  assert.equal(again.json.duplicates, 4);
  assert.equal(again.json.differs, 1);
  assert.deepEqual(
    host.ends.map(({ type }) => type),
    ["stream.aborted", "stream.end", "stream.end"],
    "the same end twice is one",
  );
});

test("the id is that of leat-request-id, else of Idempotency-Key, else a new one that the answer tells", async (t) => {
  const { host, begin } = await runLines(t);
  const idOf = async (headers: Record<string, string>) => (await begin(headers).end("x\n")).json.id;
  assert.equal(await idOf({ "idempotency-key": '"9f-1"', "leat-request-id": "mine" }), "mine");
  assert.equal(await idOf({ "idempotency-key": '"9f-1"' }), "9f-1");
  const made = await idOf({ "x-request-id": "a-proxys" });
  assert.match(String(made), /^[0-9a-f-]{36}$/);
  assert.equal(host.ids.at(-1), `${String(made)}-1`);
  for (const wrong of [{ "leat-request-id": "a b" }, { "leat-request-id": "x".repeat(201) }]) {
    const { status, json } = await begin(wrong).end("x\n");
    assert.equal(status, 400);
    assert.equal((json.error as { code: string }).code, "stream_header");
  }
  for (const wrong of ["0", "-1", "1.5", "two", "9".repeat(16)]) {
    assert.equal((await begin({ ...ID, "leat-line": wrong }).end("x\n")).status, 400, wrong);
  }
});

test("who comes again under an id that is still open takes the stream over", async (t) => {
  const { host, begin } = await runLines(t);
  const first = begin(ID);
  first.write("one\ntwo\n");
  await waitFor("two lines", () => host.lines.length === 2);
  const second = begin(ID);
  second.write("one\ntwo\nthree\n");
  const old = await first.answer;
  assert.equal(old.status, 409);
  assert.equal((old.json.error as { code: string }).code, "superseded");
  assert.equal(old.json.last, 2);
  assert.equal((await second.end()).json.last, 3);
  assert.deepEqual(host.lines, ["one", "two", "three"]);
  assert.deepEqual(
    host.ends.map(({ type }) => type),
    ["stream.end"],
    "it goes on: nothing was aborted",
  );
});

test("only who proves himself by the headers gets to send a line", async (t) => {
  const { host, url, begin } = await runLines(t);
  const stranger = await RawClient.open(url);
  t.after(() => stranger.close());
  stranger.send(
    "POST /lines HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n",
  );
  assert.equal(await stranger.status(), 401);
  assert.deepEqual(host.lines, []);
  const asked = begin({ ...ID, expect: "100-continue" });
  await once(asked.request, "continue");
  assert.equal((await asked.end("one\n")).status, 200);
});

test("a stream outlasts the time that other requests have, and the connection goes on", async (t) => {
  const limits = { ...LIMITS, requestTimeoutMs: 300, headersTimeoutMs: 200 };
  const { host, url } = await runLines(t, {}, { limits });
  const head = `POST /lines HTTP/1.1\r\nhost: x\r\nauthorization: Bearer tok\r\ntransfer-encoding: chunked\r\n\r\n`;
  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send(`${head}4\r\none\n\r\n`);
  // One that nobody let last is late at the same time: when it is told so, this one would have been.
  for (let round = 0; round < 2; round++) {
    const other = await RawClient.open(url);
    t.after(() => other.close());
    other.send("POST /nowhere HTTP/1.1\r\nhost: x\r\n");
    assert.equal(await other.status(), 408);
  }
  client.send("4\r\ntwo\n\r\n");
  await waitFor("the second line", () => host.lines.length === 2);
  client.send("0\r\n\r\n");
  assert.equal(await client.status(), 200);
  client.send(`${head}6\r\nthree\n\r\n0\r\n\r\n`);
  assert.equal(await client.status(2), 200);
  assert.deepEqual(host.lines, ["one", "two", "three"]);
});

test("a stream in which nothing comes for too long is ended, and told how far it has come", async (t) => {
  const { host, begin } = await runLines(t, { stream: { type: "lines", idle: "1s" } });
  const producer = begin(ID);
  producer.write("one\ntw");
  const { status, json } = await producer.answer;
  assert.equal(status, 408);
  assert.equal(json.last, 1);
  assert.deepEqual(host.ends[0]?.said, { stream: "job-7", last: 1, reason: "idle" });
});

test("while the journal takes nothing the request isn't read, and nothing is lost when it goes on", async (t) => {
  const { host, begin } = await runLines(t);
  host.holding = true;
  const producer = begin(ID);
  const line = `${"x".repeat(1000)}\n`;
  const total = 15_000;
  for (let n = 0; n < total; n++) producer.write(line);
  await waitFor("the window to be full", () => host.waiting > 900);
  const held = host.waiting;
  assert.ok(held <= 1024, `${held} lines are under way`);
  const waiting = producer.request.socket?.writableLength ?? 0;
  assert.ok(waiting > 5_000_000, `the rest waits at the sender: ${waiting} bytes`);
  host.holding = false;
  host.commit();
  const { json } = await producer.end();
  assert.equal(json.last, total);
  assert.equal(host.lines.length, total);
});

test("long lines fill the window by their bytes", async (t) => {
  const { host, begin } = await runLines(t);
  host.holding = true;
  const producer = begin(ID);
  const answer = producer.end(`${"x".repeat(100_000)}\n`.repeat(60));
  await waitFor("the window to be full", () => host.waiting >= 11);
  await waitFor("more to be there", () => (producer.request.socket?.bytesWritten ?? 0) > 1_500_000);
  assert.equal(host.waiting, 11, "a MiB and the line that went beyond");
  host.holding = false;
  host.commit();
  assert.equal((await answer).json.last, 60);
});

test("a journal that says not now is asked again, in order, with the same ids", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin(ID);
  producer.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  host.failure = new LeatError("unavailable", "journal_full", "full", { retryAfterMs: 100 });
  const ended = producer.end("two\nthree\nfour\n");
  await waitFor("each to be tried twice", () => host.failed >= 6);
  host.failure = null;
  assert.equal((await ended).status, 200);
  assert.deepEqual(host.lines, ["one", "two", "three", "four"]);
});

test("when the journal takes nothing for too long, the producer is told to come again", async (t) => {
  const { host, begin } = await runLines(t, { stream: { type: "lines", idle: "1s" } });
  const producer = begin(ID);
  producer.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  host.failure = new LeatError("unavailable", "journal_full", "full", { retryAfterMs: 100 });
  const { status, headers, json } = await producer.end("two\n");
  assert.equal(status, 503);
  assert.ok(headers["retry-after"]);
  assert.equal(json.last, 1);
  assert.equal(host.kept.lines.length, 1, "that its end isn't told is logged");
});

test("stop tells producers how far they have come, and to come again", async (t) => {
  const { host, begin, stop } = await runLines(t);
  const producer = begin(ID);
  producer.write("one\ntwo\nthr");
  await waitFor("two lines", () => host.lines.length === 2);
  await stop();
  const { status, headers, json } = await producer.answer;
  assert.equal(status, 503);
  assert.equal(headers["retry-after"], "1");
  assert.equal(json.last, 2);
  assert.deepEqual(host.ends[0]?.said, { stream: "job-7", last: 2, reason: "restart" });
  assert.equal((await begin(ID).answer).status, 503);
});

test("there are only so many streams at a time", async (t) => {
  const { host, begin } = await runLines(t, { stream: { type: "lines", concurrency: 2 } });
  const open = [begin(ID), begin()];
  for (const one of open) one.write("x\n");
  await waitFor("both", () => host.lines.length === 2);
  const third = await begin().end("y\n");
  assert.equal(third.status, 503);
  assert.equal(third.headers["retry-after"], "1");
  assert.equal((await begin(ID).end("x\n")).status, 200, "it takes the first one's place");
  assert.equal((await open[0]?.answer)?.status, 409);
  assert.equal((await open[1]?.end())?.status, 200);
  assert.equal((await begin().end("y\n")).status, 200);
});

test("the source's rate slows a stream down, and refuses nothing", async (t) => {
  const { host, begin } = await runLines(t, { rate: "50/s" });
  const begun = performance.now();
  const { status, json } = await begin(ID).end("x\n".repeat(80));
  assert.equal(status, 200);
  assert.equal(json.last, 80);
  assert.equal(host.lines.length, 80);
  assert.ok(performance.now() - begun > 400, "50 at once, and 30 more at 50/s");
  assert.equal(host.refusals.length, 0);
});
