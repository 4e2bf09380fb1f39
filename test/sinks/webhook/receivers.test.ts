import assert from "node:assert/strict";
import { test } from "node:test";
import type { Report } from "../../../src/component.ts";
import { waitFor } from "../../wait-for.ts";
import { deliver, message, rawReceiver, receiver, webhook } from "./kit.ts";

function failed(report: Report): Extract<Report, { result: "failed" }> {
  assert.equal(report.result, "failed");
  return report as Extract<Report, { result: "failed" }>;
}

for (const status of [200, 201, 202, 204, 299]) {
  test(`${status} is delivered`, async (t) => {
    const { url } = await receiver(t, (_request, response) => response.writeHead(status).end());
    const report = await deliver(await webhook(t, { url }));
    assert.deepEqual(report, { result: "delivered", status });
  });
}

for (const status of [300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 413, 422, 429, 500, 502, 503]) {
  test(`${status} is a failure with its status and the first bytes of the answer`, async (t) => {
    const { url } = await receiver(t, (_request, response) =>
      response.writeHead(status, { location: "http://169.254.169.254/latest/meta-data" }).end("sorry"),
    );
    const { error, status: seen, answer } = failed(await deliver(await webhook(t, { url })));
    assert.deepEqual([error, seen, answer], ["status", status, Buffer.from("sorry")]);
  });
}

test("a redirect to a metadata address is not followed", async (t) => {
  const target = await receiver(t);
  const { url, received } = await receiver(t, (_request, response) =>
    response.writeHead(307, { location: `${target.url}/latest/meta-data` }).end(),
  );
  failed(await deliver(await webhook(t, { url })));
  assert.equal(received.length, 1);
  assert.equal(target.received.length, 0);
});

test("interim answers are not the answer", async (t) => {
  const { url } = await receiver(t, (_request, response) => {
    response.writeProcessing();
    response.writeEarlyHints({ link: "</x>; rel=preload" });
    response.writeHead(200).end("done");
  });
  const report = await deliver(await webhook(t, { url }));
  assert.deepEqual(report, { result: "delivered", status: 200, answer: Buffer.from("done") });
});

test("101 is a failure: nobody asked for another protocol", async (t) => {
  const url = await rawReceiver(t, (socket) =>
    socket.once("data", () =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    ),
  );
  failed(await deliver(await webhook(t, { url })));
});

test("a receiver that is not there", async (t) => {
  const { url } = await receiver(t);
  const port = Number(new URL(url).port);
  const gone = await rawReceiver(t, (socket) => socket.destroy());
  assert.notEqual(port, 0);
  // Port 1 on loopback is nobody's.
  assert.equal(
    failed(await deliver(await webhook(t, { url: "http://127.0.0.1:1/" }))).error,
    "connection_refused",
  );
  assert.match(failed(await deliver(await webhook(t, { url: gone }))).error, /^(closed|reset)$/);
});

test("a name that isn't one", async (t) => {
  const sink = await webhook(t, { url: "http://nobody.invalid/" });
  assert.equal(failed(await deliver(sink)).error, "dns");
});

test("a receiver that never answers is given up at the time-out", async (t) => {
  let closed = 0;
  const url = await rawReceiver(t, (socket) => socket.on("close", () => closed++).resume());
  const sink = await webhook(t, { url });
  const start = performance.now();
  const report = failed(await deliver(sink, {}, 100));
  assert.equal(report.error, "timeout");
  assert.ok(performance.now() - start < 2000);
  await waitFor("the connection to be closed", () => closed === 1);
});

test("a receiver that drips is given up at the time-out, which counts over all of it", async (t) => {
  const url = await rawReceiver(t, (socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
      const drip = setInterval(() => socket.write("."), 20);
      socket.on("close", () => clearInterval(drip));
    });
  });
  const report = failed(await deliver(await webhook(t, { url }), {}, 150));
  assert.equal(report.error, "timeout");
  assert.match(report.message, /status 200/);
});

test("an answer of which only half comes is a failure", async (t) => {
  const url = await rawReceiver(t, (socket) =>
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")),
  );
  const report = failed(await deliver(await webhook(t, { url })));
  assert.match(report.error, /^(closed|reset)$/);
});

test("half a head is a failure, and so is what isn't HTTP", async (t) => {
  const half = await rawReceiver(t, (socket) =>
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncont")),
  );
  assert.match(failed(await deliver(await webhook(t, { url: half }))).error, /^(closed|reset|protocol)$/);
  const other = await rawReceiver(t, (socket) =>
    socket.once("data", () => socket.end("220 smtp.example.com\r\n")),
  );
  assert.equal(failed(await deliver(await webhook(t, { url: other }))).error, "protocol");
  const endless = await rawReceiver(t, (socket) =>
    socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}`)),
  );
  assert.equal(failed(await deliver(await webhook(t, { url: endless }))).error, "protocol");
});

test("an answer of 10 MiB is not read: 256 bytes of a success are kept, 1 KiB of a failure", async (t) => {
  let sent = 0;
  const { url } = await receiver(t, (request, response) => {
    response.writeHead(request.url === "/fails" ? 500 : 200);
    const chunk = Buffer.alloc(65_536, "x");
    const more = () => {
      for (;;) {
        if (sent >= 10 * 2 ** 20 || response.destroyed) return response.end();
        sent += chunk.length;
        if (!response.write(chunk)) return response.once("drain", more);
      }
    };
    more();
  });
  const report = await deliver(await webhook(t, { url }));
  assert.deepEqual(report, { result: "delivered", status: 200, answer: Buffer.alloc(256, "x") });
  assert.ok(sent < 8 * 2 ** 20, `${sent} bytes were taken`);
  sent = 0;
  assert.equal(failed(await deliver(await webhook(t, { url: `${url}/fails` }))).answer?.byteLength, 1024);
});

test("connections are kept and used again, also after a failure and an answer of some length", async (t) => {
  const ports = new Set<number | undefined>();
  const { url } = await receiver(t, (request, response) => {
    ports.add(request.socket.remotePort);
    response.writeHead(ports.size === 1 ? 200 : 500).end("x".repeat(5000));
  });
  const sink = await webhook(t, { url });
  for (let n = 0; n < 5; n++) await deliver(sink);
  assert.equal(ports.size, 1);
});

test("an attempt that is given up while connecting is never sent", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url });
  const controller = new AbortController();
  const report = sink.deliver(message(), controller.signal);
  controller.abort(new Error("no answer within 0 ms"));
  assert.equal(failed(await report).error, "timeout");
  assert.equal(failed(await sink.deliver(message(), controller.signal)).error, "timeout");
  await deliver(sink, { attempt: 2 });
  assert.deepEqual(
    received.map(({ headers }) => headers["leat-attempt"]),
    ["2"],
  );
});

test("Retry-After is taken in seconds, or as a date that counts from the answer's own", async (t) => {
  const { url } = await receiver(t, (request, response) => {
    const headers: Record<string, string> =
      request.url === "/seconds"
        ? { "retry-after": "120" }
        : request.url === "/date"
          ? { date: "Sun, 06 Nov 1994 08:49:37 GMT", "retry-after": "Sun, 06 Nov 1994 08:50:07 GMT" }
          : { "retry-after": "soon" };
    response.writeHead(429, headers).end();
  });
  const asked = async (path: string) =>
    failed(await deliver(await webhook(t, { url: url + path }))).retryAfterMs;
  assert.equal(await asked("/seconds"), 120_000);
  assert.equal(await asked("/date"), 30_000);
  assert.equal(await asked("/nonsense"), undefined);
});

test("410 says that the receiver is gone only where the address is the same for all", async (t) => {
  const { url } = await receiver(t, (_request, response) => response.writeHead(410).end());
  assert.equal(failed(await deliver(await webhook(t, { url }))).gone, true);
  const templated = await webhook(t, { url: `${url}/{{ key }}` });
  assert.equal(failed(await deliver(templated, { fields: { url: `${url}/k1` } })).gone, undefined);
});

test("with reply, a 2xx answer is kept up to 64 KiB, and said to be cut beyond", async (t) => {
  const { url } = await receiver(t, (request, response) => {
    const size = Number(request.url?.slice(1));
    response.writeHead(200, { "content-type": "text/plain" }).end("r".repeat(size));
  });
  for (const [size, kept, truncated] of [
    [0, 0, false],
    [65_536, 65_536, false],
    [65_537, 65_536, true],
    [5_000_000, 65_536, true],
  ] as const) {
    const report = await deliver(await webhook(t, { url: `${url}/${size}`, reply: true }));
    assert.equal(report.result, "delivered");
    const reply = report.result === "delivered" ? report.reply : undefined;
    assert.deepEqual(
      [reply?.contentType, reply?.body.byteLength, reply?.truncated],
      ["text/plain", kept, truncated],
    );
    const answer = report.result === "delivered" ? (report.answer?.byteLength ?? 0) : -1;
    assert.equal(answer, Math.min(size, 256));
  }
});

test("of a header that comes twice where HTTP knows one, the first counts", async (t) => {
  const answer = (status: string) =>
    `HTTP/1.1 ${status}\r\nContent-Type: text/a\r\nContent-Type: text/b\r\nRetry-After: 7\r\nRetry-After: 9\r\n` +
    "Content-Length: 2\r\nConnection: close\r\n\r\nok";
  const answering = (status: string) =>
    rawReceiver(t, (socket) => socket.once("data", () => socket.end(answer(status))));
  const delivered = await deliver(await webhook(t, { url: await answering("200 OK"), reply: true }));
  assert.equal(delivered.result === "delivered" ? delivered.reply?.contentType : null, "text/a");
  const { retryAfterMs } = failed(await deliver(await webhook(t, { url: await answering("503 Busy") })));
  assert.equal(retryAfterMs, 7000);
});
