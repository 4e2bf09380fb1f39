/** `leat/client` and who may read: tokens that expire and are renewed, tickets, channels that are taken away. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SignJWT } from "jose";
import { type ConnectOptions, connect, type StatusNews, StreamError } from "../../src/client/connect.ts";
import { waitFor } from "../wait-for.ts";
import { post, streaming } from "./client-kit.ts";
import type { Daemon } from "./daemon.ts";

const SECRET = "a secret of the tests, of more than 32 bytes";
const AUTH = `{ type: jwt, secret: "${SECRET}", algorithms: [HS256], audience: app, tolerance: 0s }`;
const CONFIG = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: websocket, path: /ws, auth: ${AUTH}, channels: [a, b, "user.{{ claims.sub }}"], heartbeat: 200ms }
  events: { type: sse, path: /events, auth: ${AUTH}, channels: [a, b, "user.{{ claims.sub }}"], heartbeat: 200ms }
routes:
  each: { from: in, to: [{ sink: live, channel: "{{ body.to }}" }, { sink: events, channel: "{{ body.to }}" }] }
`;

const token = (sub: string, seconds: number) =>
  new SignJWT({})
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(sub)
    .setAudience("app")
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(SECRET));

function opened(t: TestContext, daemon: Daemon, path: string, options: ConnectOptions) {
  const transport = path === "/ws" ? "websocket" : "sse";
  const connection = connect<{ n: number }>(`${daemon.url}${path}`, {
    transport,
    backoff: { initial: 20, max: 200 },
    ...options,
  });
  t.after(() => connection.close());
  return connection;
}

test("a token is renewed in place before it expires: the connection stays", async (t) => {
  const daemon = await streaming(t, CONFIG);
  let asked = 0;
  const states: StatusNews[] = [];
  const connection = opened(t, daemon, "/ws", {
    channels: ["a"],
    token: () => {
      asked++;
      return token("ada", 2);
    },
  });
  connection.on("status", (news) => states.push(news));
  await waitFor("it to outlive three tokens", () => asked >= 4, 20_000);
  await post(daemon, { to: "a", n: 1 });
  assert.deepEqual((await connection[Symbol.asyncIterator]().next()).value?.data, { to: "a", n: 1 });
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connecting", "live"],
  );
});

test("an SSE stream whose token expires comes back with a new one, and misses nothing", async (t) => {
  const daemon = await streaming(t, CONFIG);
  let asked = 0;
  const connection = opened(t, daemon, "/events", {
    channels: ["a"],
    token: () => {
      asked++;
      return token("ada", 2);
    },
  });
  const got: number[] = [];
  void (async () => {
    for await (const { data } of connection) got.push(data.n);
  })();
  await waitFor("the stream", () => connection.status === "live");
  let n = 0;
  await waitFor(
    "its third token",
    async () => {
      await post(daemon, { to: "a", n: n++ });
      return asked >= 3;
    },
    30_000,
  );
  await waitFor("all", () => got.length === n, 20_000);
  assert.deepEqual(
    got,
    Array.from({ length: n }, (_, at) => at),
  );
});

test("a token that nobody takes ends it for good, and so does what the program throws", async (t) => {
  const daemon = await streaming(t, CONFIG);
  for (const path of ["/ws", "/events"]) {
    const connection = opened(t, daemon, path, { channels: ["a"], token: "no token" });
    await assert.rejects(
      connection[Symbol.asyncIterator]().next(),
      { name: "StreamError", code: "unauthorized" },
      path,
    );
    assert.equal(connection.status, "closed");
    let tries = 0;
    const loggedOut = opened(t, daemon, path, {
      channels: ["a"],
      token: () => {
        // What passes (its server is away) is tried again.
        if (++tries < 3) throw new TypeError("fetch failed");
        throw new StreamError("logged_out", "Log in again.");
      },
    });
    await assert.rejects(loggedOut[Symbol.asyncIterator]().next(), { code: "logged_out" }, path);
    assert.equal(tries, 3);
  }
});

test("each connection gets a ticket of its own, over a kill -9 too", async (t) => {
  const daemon = await streaming(t, CONFIG);
  for (const path of ["/ws", "/events"]) {
    const connection = opened(t, daemon, path, {
      ticket: async () => {
        const headers = { authorization: `Bearer ${await token("ada", 60)}` };
        const answer = await fetch(`${daemon.url}${path}/ticket`, { method: "POST", headers });
        return ((await answer.json()) as { ticket: string }).ticket;
      },
    });
    const own = connection.subscribe<{ n: number }>("user.ada");
    await waitFor("it", () => own.status === "live");
    daemon.signal("SIGKILL");
    await daemon.ended();
    await daemon.start();
    await post(daemon, { to: "user.ada", n: 1 });
    const { value } = await own[Symbol.asyncIterator]().next();
    assert.deepEqual(value?.data, { to: "user.ada", n: 1 }, path);
  }
});

test("a channel that is taken away is told and cut alone; the last one ends the subscription", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened(t, daemon, "/ws", { token: () => token("ada", 60) });
  const both = connection.subscribe<{ n: number }>(["a", "b"]);
  const taken: unknown[] = [];
  both.on("revoked", (news) => taken.push(news));
  await waitFor("it", () => both.status === "live");
  const revoke = async (channel: string) => {
    const body = JSON.stringify({ user: "ada", channel, for: "1h" });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${daemon.admin}/api/sinks/live/revoke`, { method: "POST", headers, body });
    assert.equal(answer.status, 200, await answer.text());
  };
  await revoke("b");
  await waitFor("to be told", () => taken.length === 1);
  assert.deepEqual(taken, [{ channels: ["b"] }]);
  await post(daemon, { to: "b", n: 1 });
  await post(daemon, { to: "a", n: 2 });
  const loop = both[Symbol.asyncIterator]();
  assert.equal((await loop.next()).value?.data.n, 2);
  await revoke("a");
  await assert.rejects(loop.next(), { name: "StreamError", code: "revoked" });
  assert.equal(connection.status, "live");
});
