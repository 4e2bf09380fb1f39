/** Streams of lines into a real daemon: what a tab sees of them, and what is left of them when the daemon goes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { required } from "../brokers/programs.ts";
import { waitFor } from "../wait-for.ts";
import { type Daemon, MAIN, makeDaemon } from "./daemon.ts";
import { endsOf, linesOf, produce, PRODUCER_TOKEN as TOKEN, type Told } from "./line-producer.ts";
import { followStream, type StreamReader } from "./stream-reader.ts";

const YAML = `
sources:
  logs:
    type: webhook
    path: /logs
    verify: { type: bearer, token: ${TOKEN} }
    stream: lines
sinks:
  browser: { type: sse, path: /events, auth: { type: none }, channels: ["job.*"] }
routes:
  lines: { from: logs, to: { sink: browser, channel: "job.{{ key }}" } }
`;

async function running(t: TestContext): Promise<Daemon> {
  const daemon = await makeDaemon(YAML);
  t.after(daemon.close);
  await daemon.start();
  return daemon;
}

function follow(t: TestContext, daemon: Daemon, job: string): StreamReader {
  const reader = followStream(`${daemon.url}/events?channel=job.${job}`);
  t.after(() => reader.close());
  return reader;
}

test("a tab sees a line within milliseconds of its being written", async (t) => {
  const daemon = await running(t);
  const reader = follow(t, daemon, "tokens");
  await waitFor("the reader", () => reader.connections === 1);
  const { request, answer } = produce(`${daemon.url}/logs`, "tokens");
  const seen: number[] = [];
  for (let n = 0; n < 100; n++) {
    const begun = performance.now();
    request.write(`token ${n}\n`);
    while (linesOf(reader).length <= n && performance.now() - begun < 5_000) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    seen.push(performance.now() - begun);
  }
  request.end();
  assert.equal((await answer)?.json.last, 100);
  assert.deepEqual(
    linesOf(reader),
    Array.from({ length: 100 }, (_, n) => `token ${n}`),
  );
  const [p50 = 0, p99 = 0] = [50, 98].map((at) => seen.toSorted((a, b) => a - b)[at]);
  t.diagnostic(`from write to reader: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
  // Far below what a person sees, on a machine that does other things too.
  assert.ok(p50 < 100, `p50 ${p50} ms`);
});

test("SIGTERM tells the producer how far it has come, and it goes on from there with the next process", async (t) => {
  const daemon = await running(t);
  const reader = follow(t, daemon, "build");
  await waitFor("the reader", () => reader.connections === 1);
  const first = produce(`${daemon.url}/logs`, "build");
  first.request.write("one\ntwo\nthr");
  await waitFor("two lines", () => linesOf(reader).length === 2);
  daemon.signal("SIGTERM");
  const told = await first.answer;
  assert.equal(told?.status, 503);
  assert.equal(told?.json.last, 2);
  assert.equal(await daemon.ended(), 0);
  await daemon.start();
  const second = produce(`${daemon.url}/logs`, "build", { "leat-line": "3" });
  second.request.end("three\nfour\n");
  assert.equal((await second.answer)?.json.last, 4);
  await waitFor("the end", () => endsOf(reader).length === 2);
  assert.deepEqual(linesOf(reader), ["one", "two", "three", "four"]);
  assert.deepEqual(endsOf(reader), [
    { stream: "build", last: 2, reason: "restart" },
    { stream: "build", last: 4 },
  ]);
  assert.deepEqual(reader.gaps, []);
});

test("over kill -9 in the middle of a stream nothing is lost and nothing comes twice", async (t) => {
  const daemon = await running(t);
  const reader = follow(t, daemon, "long");
  await waitFor("the reader", () => reader.connections === 1);
  const total = 6_000;
  const wanted = Array.from({ length: total }, (_, n) => `line ${n + 1} ${"x".repeat(n % 50)}`);
  /** In hundreds, and never far ahead of what the reader has, so that each kill falls into the middle. */
  async function* hundreds(): AsyncGenerator<string> {
    for (let at = 0; at < total; at += 100) {
      await waitFor(`a reader near line ${at}`, () => linesOf(reader).length > at - 500, 30_000);
      yield `${wanted.slice(at, at + 100).join("\n")}\n`;
    }
  }
  /** Everything from the first line on, each time, as a producer does that knows nothing of what was accepted. */
  const sendAll = async (): Promise<{ told: Told; cut: number }> => {
    for (let cut = 0; ; ) {
      const { request, answer, connected } = produce(`${daemon.url}/logs`, "long");
      const source = Readable.from(hundreds());
      source.pipe(request);
      const told = await answer;
      source.destroy();
      if (told?.status === 200) return { told, cut };
      if (connected()) cut++;
      // Nobody may be there yet: as a producer would, it tries again a little later.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const sending = sendAll();
  for (const moment of [500, 2_000, 4_000]) {
    await waitFor(`line ${moment}`, () => linesOf(reader).length >= moment, 60_000);
    await daemon.end();
    await daemon.start();
  }
  const { told, cut } = await sending;
  assert.equal(told.json.last, total);
  assert.equal(cut, 3);
  assert.ok(Number(told.json.duplicates) >= 4_000, "what the first three brought is there");
  await waitFor("all lines", () => linesOf(reader).length >= total, 60_000);
  assert.deepEqual(linesOf(reader), wanted);
  assert.deepEqual(reader.gaps, []);
});

/** Runs a program with this on its standard input, a line at a time; resolves with its exit code and what it printed. */
async function pipe(program: string, args: readonly string[], input: AsyncIterable<string>) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  const closed = once(child, "close") as Promise<[number]>;
  child.stdin.on("error", () => {});
  for await (const text of input) child.stdin.write(text);
  child.stdin.end();
  const [code] = await closed;
  return { code, out, err };
}

/** Two lines, of which the second is only written once the reader has the first. */
async function* oneAfterTheOther(reader: StreamReader): AsyncGenerator<string> {
  yield "compiling\n";
  await waitFor("the first line to be seen", () => linesOf(reader).includes("compiling"));
  yield "done\n";
}

test("curl streams what a program prints", async (t) => {
  const daemon = await running(t);
  const reader = follow(t, daemon, "curl-1");
  await waitFor("the reader", () => reader.connections === 1);
  const { code, out } = await pipe(
    required("curl"),
    [
      ...["-sS", "-X", "POST", "-T", "-", "-H", `authorization: Bearer ${TOKEN}`],
      ...["-H", "leat-request-id: curl-1", `${daemon.url}/logs`],
    ],
    oneAfterTheOther(reader),
  );
  assert.equal(code, 0);
  assert.equal((JSON.parse(out) as { last: number }).last, 2);
  await waitFor("the end", () => endsOf(reader).length === 1);
  assert.deepEqual(linesOf(reader), ["compiling", "done"]);
});

test("fetch streams a model's tokens, as the docs show it", async (t) => {
  const daemon = await running(t);
  const reader = follow(t, daemon, "chat-1");
  await waitFor("the reader", () => reader.connections === 1);
  const tokens = new TransformStream<string, string>();
  const answer = fetch(`${daemon.url}/logs`, {
    method: "POST",
    duplex: "half",
    headers: {
      authorization: `Bearer ${TOKEN}`,
      "content-type": "application/x-ndjson",
      "leat-request-id": "chat-1",
    },
    body: tokens.readable.pipeThrough(new TextEncoderStream()),
  });
  const writer = tokens.writable.getWriter();
  for (const [n, token] of ["Hel", "lo ", "wörld", "\n"].entries()) {
    await writer.write(`${JSON.stringify({ token })}\n`);
    await waitFor("the token to be seen", () => linesOf(reader).length === n + 1);
  }
  await writer.close();
  assert.equal(((await (await answer).json()) as { last: number }).last, 4);
  assert.equal(
    linesOf(reader)
      .map((line) => (JSON.parse(line) as { token: string }).token)
      .join(""),
    "Hello wörld\n",
  );
});

test("leat send lines streams its standard input, and says how far it has come", async (t) => {
  const daemon = await running(t);
  const reader = follow(t, daemon, "sent");
  await waitFor("the reader", () => reader.connections === 1);
  const args = [MAIN, "send", "lines", "--to", `${daemon.url}/logs`, "--secret", TOKEN, "--id", "sent"];
  const { code, out } = await pipe(process.execPath, [...args, "--json"], oneAfterTheOther(reader));
  assert.equal(code, 0);
  const { answer, status } = JSON.parse(out) as { answer: string; status: number };
  assert.equal(status, 200);
  assert.equal((JSON.parse(answer) as { last: number }).last, 2);
  await waitFor("the end", () => endsOf(reader).length === 1);
  assert.deepEqual(linesOf(reader), ["compiling", "done"]);
});
