/** What a receiver may answer: whatever it is, an attempt ends in time with a report that says what happened. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import fc from "fast-check";
import type { PushedSink } from "../../src/component.ts";
import { packHeaders, unpackHeaders } from "../../src/event.ts";
import { systemClock } from "../../src/ports.ts";
import { webhookSink } from "../../src/sinks/webhook/sink.ts";
import { silent } from "../delivery/kit.ts";
import { message } from "../sinks/webhook/kit.ts";
import { type Property, property } from "./property.ts";
import { longText, slips, soup } from "./texts.ts";

const ANSWERS = [
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok",
  "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 204 No Content\r\nContent-Type: a\r\nContent-Type: b\r\nRetry-After: 1\r\nRetry-After: 2\r\nConnection: close\r\n\r\n",
];
const PIECES = [
  "HTTP/1.1 ",
  "200 OK",
  "429 Slow",
  "101 Switching Protocols",
  "999",
  "\r\n",
  "\r\n\r\n",
  "\n",
  "Content-Length: 5",
  "Content-Length: -1",
  "Transfer-Encoding: chunked",
  "Retry-After: 1",
  "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT",
  "Content-Type: text/html",
  "Set-Cookie: a=b",
  "ffffffffffffffff\r\n",
  "0\r\n\r\n",
  "hello",
];
const NAME = "whatever a receiver answers, the attempt is reported";
const MOST_MS = 10_000;

/** A receiver that answers each request with these bytes and hangs up, and a sink that delivers to it. */
async function receiving(): Promise<{
  sink: PushedSink;
  answerWith(bytes: Buffer): void;
  close(): Promise<void>;
}> {
  let answer: Buffer = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const sink = webhookSink.create(webhookSink.schema.parse({ url, reply: true }), {
    name: "billing",
    clock: systemClock,
    log: silent,
    stands: () => {},
    answerBytes: { failure: 1024, success: 256 },
  });
  await sink.start();
  return {
    sink,
    answerWith(bytes) {
      answer = bytes;
    },
    async close() {
      await sink.stop();
      server.close();
      await once(server, "close");
    },
  };
}

export const receivers: readonly Property[] = [
  {
    name: NAME,
    async check(runs, seed) {
      const { sink, answerWith, close } = await receiving();
      const answers = fc.oneof(slips(ANSWERS, PIECES), soup(PIECES, 16), longText);
      try {
        return await property(NAME, answers, async (answer) => {
          answerWith(Buffer.from(answer));
          const signal = AbortSignal.timeout(MOST_MS);
          const report = await sink.deliver(message(), signal);
          assert.ok(!signal.aborted, "it waited for more of an answer that had ended");
          if (report.result === "delivered") {
            assert.ok(report.status !== undefined && report.status >= 200 && report.status < 300);
            const { contentType, body } = report.reply ?? { contentType: null, body: Buffer.alloc(0) };
            assert.ok(body.byteLength <= 64 * 1024);
            const packed = packHeaders([["content-type", contentType ?? ""]]);
            assert.equal(
              Buffer.from(unpackHeaders(packed)[0]?.[1] ?? []).toString("latin1"),
              contentType ?? "",
            );
            return;
          }
          assert.equal(report.result, "failed");
          assert.ok(report.error !== "" && report.message !== "");
          if (report.result !== "failed") return;
          const { retryAfterMs } = report;
          assert.ok(retryAfterMs === undefined || (Number.isFinite(retryAfterMs) && retryAfterMs >= 0));
        }).check(runs, seed);
      } finally {
        await close();
      }
    },
  },
];
