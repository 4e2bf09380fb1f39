/**
 * What anybody may send to a daemon's listeners, through real sockets: requests that are none, the admin's API, webhooks,
 * readers. It answers each as it should, never with a 500, logs no error, and takes the next.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { Pool } from "undici";
import { type Running, startRunning } from "../daemon/running.ts";
import { type Checked, type Property, property } from "./property.ts";
import { anyText, longText, slips, soup } from "./texts.ts";

const TOKEN = "the-admin-token-of-the-fuzz";
const BEARER = `Bearer ${TOKEN}`;

const YAML = `
sources:
  in: { type: webhook, path: /in, verify: { type: none }, decompress: true, key: body.key, id: body.id, event_type: body.type }
sinks:
  live: { type: sse, path: /events, auth: { type: none }, channels: ["all", "user.*"], channel: "user.{{ subject }}" }
routes:
  all: { from: in, to: live }
`;

/** A daemon of its own for each property. At the end it must have logged no error. */
function served<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  holds: (input: T, to: Served) => Promise<void>,
): Property {
  return {
    name,
    async check(runs, seed): Promise<Checked> {
      const running = await startRunning(YAML, { server: `admin_token: ${TOKEN}` });
      const pools = { public: new Pool(running.url), admin: new Pool(running.admin) };
      try {
        const checked = await property(name, inputs, (input) => holds(input, { running, pools })).check(
          runs,
          seed,
        );
        const errors = running.logged.filter(({ level }) => level === "error");
        assert.deepEqual(errors.slice(0, 3), [], "an error was logged");
        return checked;
      } finally {
        await Promise.all([pools.public.destroy(), pools.admin.destroy()]);
        await running.stop();
      }
    },
  };
}

interface Served {
  readonly running: Running;
  readonly pools: { readonly public: Pool; readonly admin: Pool };
}

const HTTP = [
  "GET ",
  "POST ",
  "/in",
  "/events",
  " HTTP/1.1",
  " HTTP/1.0",
  "\r\n",
  "\r\n\r\n",
  "\n",
  ":",
  " ",
  "Host: 127.0.0.1",
  "Content-Length: 5",
  "Content-Length: -1",
  "Transfer-Encoding: chunked",
  "Expect: 100-continue",
  "Connection: close",
  "Upgrade: websocket",
  "5\r\nhello\r\n0\r\n\r\n",
  "\0",
  "CONNECT ",
  "*",
  "OPTIONS ",
];
const REQUESTS = [
  'POST /in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 7\r\nContent-Type: application/json\r\n\r\n{"n":1}',
  "POST /in/a/b HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  "GET /events?since=1&wait=0s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n",
  "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
];

/** Sends the bytes, ends its side, and resolves with all that came back. */
async function exchange(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
    // A stream goes on for ever.
    if (answer.includes("text/event-stream")) socket.destroy();
  });
  socket.on("error", () => {}).on("end", () => socket.destroy());
  const closed = once(socket, "close");
  socket.end(Buffer.from(bytes));
  const late = setTimeout(() => socket.destroy(new Error("late")), 15_000);
  await closed;
  clearTimeout(late);
  assert.ok(socket.errored?.message !== "late", "it never answered");
  return answer;
}

/** Statuses that a stranger's mistake may have. */
const MISTAKES = new Set([
  400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 415, 417, 421, 422, 426, 429, 431, 501, 503, 505,
]);

function fine(status: number): boolean {
  return (status >= 200 && status < 300) || MISTAKES.has(status);
}

const path = fc
  .oneof(
    soup(
      [
        "/api",
        "/events",
        "/dead",
        "/refusals",
        "/subscriptions",
        "/sinks",
        "/replay",
        "/purge",
        "/login",
        "/metrics",
        "/tail",
        "/in",
        "/",
        "?",
        "&",
        "limit=",
        "before=",
        "source=",
        "id=",
        "subscription=",
        "1",
        "0",
        "-1",
        "99999999999999999",
        "live",
        "/pause",
        "/resume",
        "%2f",
        "%00",
        "%",
        "a",
      ],
      8,
    ),
    fc.constantFrom("/api/events", "/api/replay", "/api/purge", "/api/sinks/live/pause"),
  )
  .map((text) => `/${text.replace(/^\//, "").replace(/[^\x21-\x7e]/g, "")}`);

const jsonBody = fc.oneof(
  fc
    .record(
      {
        subscription: fc.oneof(fc.constantFrom("live", "all/live"), anyText),
        seq: fc.anything(),
        dead: fc.boolean(),
        what: fc.oneof(fc.constantFrom("owed", "dead"), anyText),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? 1 : one)) ?? ""),
  fc.json(),
  longText,
);
const headerValue = longText.map((text) =>
  Buffer.from(text)
    .toString("latin1")
    .replace(/[^\t\x20-\x7e\x80-\xff]/g, ""),
);

export const servedProperties = [
  served(
    "bytes that are no request are answered as a mistake, or the connection ends",
    fc.tuple(fc.oneof(slips(REQUESTS, HTTP), soup(HTTP, 20), longText), fc.boolean()),
    async ([bytes, admin], { running }) => {
      const answer = await exchange(admin ? running.admin : running.url, bytes);
      for (const [, status] of answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm))
        assert.ok(fine(Number(status)) || status === "100", answer.slice(0, 300));
    },
  ),

  served(
    "a request to the admin listener is answered, whatever it asks",
    fc.tuple(
      fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"),
      path,
      jsonBody,
      fc.constantFrom("application/json", "text/plain", "application/x-www-form-urlencoded"),
      headerValue,
      fc.boolean(),
    ),
    async ([method, target, body, type, odd, known], { pools }) => {
      const response = await pools.admin.request({
        method: method as "GET",
        path: target,
        headers: {
          "content-type": type,
          cookie: odd,
          authorization: known ? BEARER : odd,
          accept: "application/json",
        },
        ...(method === "GET" || method === "HEAD" ? {} : { body }),
      });
      const streams = String(response.headers["content-type"]).includes("event-stream");
      if (streams) response.body.destroy();
      else await response.body.text();
      assert.ok(
        fine(response.statusCode) || [301, 302, 303, 304].includes(response.statusCode),
        `${method} ${target}: ${response.statusCode}`,
      );
    },
  ),

  served(
    "a webhook of any kind is taken or refused, and what is taken can be read",
    fc.tuple(
      fc.oneof(soup(["/", "a", "..", "%2f", "%00", "%", "?", "#", "é"], 5), anyText),
      fc.oneof(jsonBody, fc.uint8Array({ maxLength: 500 })),
      fc.constantFrom("gzip", "br", "deflate", "identity", "compress", "gzip, br", ""),
      fc.oneof(fc.constant("application/json"), headerValue),
      headerValue,
    ),
    async ([rest, body, encoding, type, odd], { pools }) => {
      const response = await pools.public.request({
        method: "POST",
        path: `/in/${rest.replace(/[^\x21-\x7e]/g, "")}`,
        headers: {
          "content-encoding": encoding,
          "content-type": type,
          "leat-hops": odd,
          traceparent: odd,
          "x-odd": odd,
        },
        body: typeof body === "string" ? body : Buffer.from(body),
      });
      const text = await response.body.text();
      assert.ok(fine(response.statusCode), `${response.statusCode} ${text}`);
      if (response.statusCode !== 200) {
        assert.equal(typeof (JSON.parse(text) as { error: { code: unknown } }).error.code, "string");
        return;
      }
      const { seq } = JSON.parse(text) as { seq: number };
      const shown = await pools.admin.request({
        method: "GET",
        path: `/api/events/${seq}`,
        headers: { authorization: BEARER },
      });
      assert.equal(shown.statusCode, 200, await shown.body.text());
    },
  ),

  served(
    "a reader that asks for anything is answered",
    fc.tuple(
      soup(
        [
          "channel=",
          "all",
          "user.1",
          "user.*",
          "**",
          "&",
          "since=",
          "last_event_id=",
          "1",
          "wait=",
          "0s",
          "1ms",
          "%",
          "%00",
          "+",
          "access_token=x",
          "\\",
        ],
        10,
      ),
      headerValue,
      headerValue,
    ),
    async ([query, lastEventId, origin], { pools }) => {
      const headers: Record<string, string> = { accept: "application/json", "last-event-id": lastEventId };
      if (origin !== "") headers.origin = origin;
      const target = `/events?${query.replace(/[^\x21-\x7e]/g, "").replace(/wait=(?!0s|1ms)/g, "w=")}`;
      const response = await pools.public.request({ method: "GET", path: target, headers });
      const text = await response.body.text();
      assert.ok([200, 400, 403, 503].includes(response.statusCode), `${response.statusCode} ${text}`);
      JSON.parse(text);
    },
  ),
];
