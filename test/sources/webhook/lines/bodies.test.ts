import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, createBrotliCompress, createDeflate, createGzip, gzipSync } from "node:zlib";
import { LeatError } from "../../../../src/errors.ts";
import { RawClient } from "../../../http/raw-client.ts";
import { waitFor } from "../../../wait-for.ts";
import { headersOf, LineHost, runLines } from "./run-lines.ts";

const ID = { "leat-request-id": "log" };

const codeOf = (json: Record<string, unknown>) => (json.error as { code: string } | undefined)?.code;

test("line ends of every kind, a last line without one, and empty lines, which aren't counted", async (t) => {
  const { host, begin } = await runLines(t);
  const { json } = await begin(ID).end("one\r\n\n\r\ntwo\n\nthree");
  assert.equal(json.last, 3);
  assert.deepEqual(host.lines, ["one", "two", "three"]);
  assert.deepEqual(host.ids, ["log-1", "log-2", "log-3"]);
});

test("empty lines are events where they are kept", async (t) => {
  const { host, begin } = await runLines(t, { stream: { type: "lines", empty: "keep" } });
  assert.equal((await begin(ID).end("one\n\ntwo\n")).json.last, 3);
  assert.deepEqual(host.lines, ["one", "", "two"]);
});

test("an empty body is a stream without lines", async (t) => {
  const { host, begin } = await runLines(t);
  assert.deepEqual((await begin(ID).end()).json, { id: "log", last: 0, accepted: 0 });
  assert.equal(host.ends[0]?.type, "stream.end");
});

test("empty lines keep a stream going that has nothing to say", async (t) => {
  const { host, begin } = await runLines(t, { stream: { type: "lines", idle: "1s" } });
  const producer = begin(ID);
  producer.write("one\n");
  const beat = setInterval(() => producer.write("\n"), 50);
  t.after(() => clearInterval(beat));
  const until = performance.now() + 1500;
  await waitFor("longer than idle", () => performance.now() > until);
  clearInterval(beat);
  assert.equal((await producer.end("two\n")).status, 200);
  assert.deepEqual(host.lines, ["one", "two"]);
});

test("what isn't UTF-8 is kept byte by byte, and a character in two pieces is whole", async (t) => {
  const { host, begin } = await runLines(t);
  const producer = begin(ID);
  const [start, rest] = [Buffer.from([0xff, 0xfe, 0x0a, 0xe6, 0x97]), Buffer.from([0xa5, 0x0a])];
  producer.write(start);
  await waitFor("the first line", () => host.lines.length === 1);
  await producer.end(rest);
  assert.deepEqual(Buffer.from(host.appended[0]?.body ?? []), Buffer.from([0xff, 0xfe]));
  assert.equal(host.lines[1], "日");
});

test("the content type is one line's: JSON of NDJSON, and none of a form's", async (t) => {
  const { host, begin } = await runLines(t);
  const typeOf = async (written: string) => {
    await begin({ "content-type": written }).end("{}\n");
    return headersOf(host.appended.at(-2) as { headers: Uint8Array })["content-type"];
  };
  assert.equal(await typeOf("application/x-ndjson; charset=utf-8"), "application/json");
  assert.equal(await typeOf("application/jsonl"), "application/json");
  assert.equal(await typeOf("text/plain; charset=utf-8"), "text/plain; charset=utf-8");
  assert.equal(await typeOf("application/x-www-form-urlencoded"), undefined);
});

test("the status of a yes is the configured one, and headers say it where there is no body", async (t) => {
  const { begin } = await runLines(t, { status: 204 });
  const { status, headers } = await begin(ID).end("one\ntwo\n");
  assert.equal(status, 204);
  assert.equal(headers["leat-request-id"], "log");
  assert.equal(headers["leat-last"], "2");
});

test("a body with a length, and one in two requests of one connection, are streams too", async (t) => {
  const { host, url } = await runLines(t);
  const client = await RawClient.open(url);
  t.after(() => client.close());
  const request =
    "POST /lines HTTP/1.1\r\nhost: x\r\nauthorization: Bearer tok\r\ncontent-length: 7\r\n\r\none\ntwo";
  client.send(request + request);
  assert.equal(await client.status(2), 200);
  assert.deepEqual(host.lines, ["one", "two", "one", "two"]);
});

test("a line that is too long is kept as refused and told, and those after it are taken", async (t) => {
  const { host, begin } = await runLines(t, { stream: { type: "lines", max_line: "16B" } });
  const { status, json } = await begin(ID).end(`${"a".repeat(16)}\n${"b".repeat(5000)}\nok\n`);
  assert.equal(status, 200);
  assert.deepEqual(json, {
    id: "log",
    last: 3,
    accepted: 2,
    refused: { count: 1, lines: [2] },
    seq: host.appended[1]?.seq,
  });
  assert.deepEqual(host.ids, ["log-1", "log-3"]);
  const [refused] = host.refusals;
  assert.equal(refused?.reason, "too_large");
  assert.match(refused?.address ?? "", /^127\.0\.0\.1, stream log, line 2$/);
  assert.match(refused?.detail ?? "", /5000 bytes/);
  assert.equal(refused?.body?.byteLength, 1024);
});

test("by default a line may be as large as an event", async (t) => {
  const host = new LineHost();
  host.maxEventBytes = 10;
  const { begin } = await runLines(t, {}, { host });
  const { json } = await begin(ID).end(`${"a".repeat(10)}\r\n${"b".repeat(11)}\n`);
  assert.deepEqual(json.refused, { count: 1, lines: [2] });
});

test("a stream of nothing but what can't be taken is ended", async (t) => {
  const { host, begin } = await runLines(t);
  host.failure = new LeatError("refused", "headers_too_large", "the headers are over 65536 bytes");
  host.keepRefused = async (refusal) => void host.refusals.push(refusal);
  const { status, json } = await begin(ID).end("x\n".repeat(100_000));
  assert.equal(status, 400);
  assert.equal(codeOf(json), "refused_lines");
  const { count, lines } = json.refused as { count: number; lines: number[] };
  assert.ok(count >= 100 && count <= 1124, `${count} were under way`);
  assert.equal(lines.length, 100);
  assert.equal(json.last, count);
});

test("a stream may be bounded in all, and is told how far it came", async (t) => {
  const { host, begin } = await runLines(t, { max_body: "100B" });
  const producer = begin(ID);
  producer.write("one\ntwo\n");
  await waitFor("two lines", () => host.lines.length === 2);
  const { status, json } = await producer.end("x".repeat(93));
  assert.equal(status, 413);
  assert.equal(json.last, 2);
  assert.deepEqual(host.ends, [
    {
      type: "stream.failed",
      id: "log-2-failed",
      said: { stream: "log", last: 2, reason: "too_large" },
    },
  ]);
});

test("packed streams are unpacked as they come, where that is wanted", async (t) => {
  const flush = { flush: constants.Z_SYNC_FLUSH };
  const packers = {
    gzip: () => createGzip(flush),
    deflate: () => createDeflate(flush),
    br: () => createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
  };
  const { host, begin } = await runLines(t, { decompress: true });
  for (const [encoding, create] of Object.entries(packers)) {
    const producer = begin({ "leat-request-id": encoding, "content-encoding": encoding });
    const packer = create();
    packer.pipe(producer.request);
    packer.write("one\n");
    await waitFor(`the first line of ${encoding}`, () => host.ids.includes(`${encoding}-1`));
    packer.end("two");
    assert.equal((await producer.answer).json.last, 2, encoding);
    for (const event of host.appended) assert.equal(headersOf(event)["content-encoding"], undefined);
  }
  assert.deepEqual(host.lines, ["one", "two", "one", "two", "one", "two"]);
  const { begin: beginPlain } = await runLines(t);
  assert.equal((await beginPlain({ "content-encoding": "gzip" }).end(gzipSync("x\n"))).status, 415);
});

test("what doesn't unpack, or grows too much, fails after the lines before it", async (t) => {
  const { host, begin } = await runLines(t, { decompress: { ratio: 50 } });
  const packed = { ...ID, "content-encoding": "gzip" };
  const whole = gzipSync("one\ntwo\nthree\n");
  const broken = await begin(packed).end(whole.subarray(0, whole.length - 6));
  assert.equal(broken.status, 400);
  assert.equal(codeOf(broken.json), "malformed_encoding");
  assert.equal(host.ends.at(-1)?.type, "stream.failed");
  const garbage = await begin({ ...packed, "leat-request-id": "g" }).end("not gzip");
  assert.equal(garbage.status, 400);
  assert.equal(garbage.json.last, 0);
  const followed = begin({ ...packed, "leat-request-id": "f" });
  followed.write(gzipSync("one\n"));
  await waitFor("the line", () => host.ids.includes("f-1"));
  const { json } = await followed.end("and then something else");
  assert.equal(codeOf(json), "malformed_encoding");
  assert.equal(json.last, 1);
  const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, `${"x".repeat(20_000)}\n`));
  const exploded = await begin({ ...packed, "leat-request-id": "b" }).end(bomb);
  assert.equal(exploded.status, 413);
  assert.equal(host.ends.at(-1)?.said.reason, "too_large");
});

test("a request that isn't HTTP any more in its middle is an abort", async (t) => {
  const { host, url } = await runLines(t);
  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send(
    "POST /lines HTTP/1.1\r\nhost: x\r\nauthorization: Bearer tok\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n",
  );
  await waitFor("the line", () => host.lines.length === 1);
  client.send("nonsense\r\n");
  await client.untilEnd();
  await waitFor("the abort", () => host.ends[0]?.type === "stream.aborted");
  assert.deepEqual(host.lines, ["one"]);
});
