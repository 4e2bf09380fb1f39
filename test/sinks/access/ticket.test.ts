/** One-use tickets: got by POST, good once, for seconds, and never more than what they were got with. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Credential, UNKNOWN } from "../../../src/sinks/stream/access/admission.ts";
import { Tickets } from "../../../src/sinks/stream/access/tickets.ts";
import { SimulatedClock } from "../../journal/simulation/simulated-clock.ts";
import { open, withStream } from "../sse-kit.ts";
import type { StreamUnderTest } from "../stream-kit.ts";
import { bearing, byHmac, Endpoint, mint, now, statusOf } from "./kit.ts";

const CREDENTIAL: Credential = {
  token: "t",
  headers: {},
  origin: null,
  asked: [],
  address: "192.0.2.1",
  issuedAt: null,
};

async function ticketOf(stream: StreamUnderTest, headers: Record<string, string>) {
  const response = await fetch(`${stream.url}/ticket`, { method: "POST", headers });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as { ticket: string; expires_in_ms: number },
  };
}

describe("a ticket", () => {
  test("is got with a header or a cookie, and opens a stream once", async () => {
    const channels = ["user.{{ claims.sub }}"];
    await withStream({ auth: { ...byHmac, cookie: "session" }, channels }, async (stream) => {
      const token = await mint();
      for (const headers of [bearing(token), { cookie: `session=${token}` }]) {
        const got = await ticketOf(stream, headers);
        assert.equal(got.status, 200);
        assert.equal(got.headers.get("cache-control"), "no-store");
        assert.match(got.body.ticket, /^[\w-]{43}$/);
        assert.equal(got.body.expires_in_ms, 30_000);
        const reader = await open(stream, `channel=user.42&ticket=${got.body.ticket}`);
        assert.equal(reader.status, 200);
        reader.close();
        assert.equal(await statusOf(stream, {}, `channel=user.42&ticket=${got.body.ticket}`), 401, "used");
        assert.doesNotMatch(stream.log.lines.join(), new RegExp(got.body.ticket));
      }
      assert.equal((await ticketOf(stream, {})).status, 401);
      assert.equal((await ticketOf(stream, bearing(await mint({ exp: now() - 60 })))).status, 401);
      assert.equal(await statusOf(stream, {}, "channel=user.42&ticket=made-up"), 401);
      assert.equal(
        await statusOf(stream, bearing(token), "channel=user.42&ticket=made-up"),
        401,
        "it is what counts",
      );
    });
  });

  test("is good for the channels that a judge knows of alone: it is asked about those that are named with it", async () => {
    const judge = await Endpoint.start(({ question }) => ({
      status: `${question.channels}`.includes("secret") ? 403 : 200,
      body: { user: "42" },
    }));
    try {
      for (const fields of [
        { auth: { type: "http", url: judge.url } },
        { auth: byHmac, judge: { url: judge.url } },
      ]) {
        await withStream({ ...fields, channels: ["**"] }, async (stream) => {
          const token = await mint();
          for (const [channel, status] of [
            ["news", 200],
            ["secret", 403],
            ["se%5Ccret", 403],
          ] as const) {
            const { body } = await ticketOf(stream, bearing(token));
            const query = `channel=${channel}&ticket=${body.ticket}`;
            assert.equal(await statusOf(stream, {}, query), status, channel);
            assert.equal(await statusOf(stream, {}, query), 401, "used");
          }
        });
      }
    } finally {
      await judge.close();
    }
  });

  test("is got with a bearer's token too, which an EventSource can't send", async () => {
    await withStream({ auth: { type: "bearer", token: "first" } }, async (stream) => {
      const { body } = await ticketOf(stream, bearing("first"));
      assert.equal(await statusOf(stream, {}, `channel=a&ticket=${body.ticket}`), 200);
      assert.equal((await ticketOf(stream, bearing("second"))).status, 401);
    });
  });

  test("opens one stream of two that show it at once", async () => {
    await withStream({ auth: byHmac }, async (stream) => {
      const { body } = await ticketOf(stream, bearing(await mint()));
      const statuses = await Promise.all(
        Array.from({ length: 20 }, () => statusOf(stream, {}, `channel=a&ticket=${body.ticket}`)),
      );
      assert.equal(statuses.filter((status) => status === 200).length, 1);
    });
  });

  test("grants nobody else's channels, and no longer than the token it was got with", async () => {
    const channels = ["user.{{ claims.sub }}"];
    await withStream({ auth: { ...byHmac, tolerance: "0s" }, channels }, async (stream) => {
      const other = await ticketOf(stream, bearing(await mint({ sub: "43" })));
      assert.equal(await statusOf(stream, {}, `channel=user.42&ticket=${other.body.ticket}`), 403);
      const { body } = await ticketOf(stream, bearing(await mint({ exp: now() + 2 })));
      const until = Date.now() + 2100;
      while (Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(await statusOf(stream, {}, `channel=user.42&ticket=${body.ticket}`), 401);
    });
  });

  test("isn't got by a page of another origin, by GET, or under another path; a listed page may", async () => {
    const app = "https://app.example.com";
    await withStream({ auth: { ...byHmac, cookie: "session" }, origins: [app] }, async (stream) => {
      const cookie = `session=${await mint()}`;
      const foreign = await fetch(`${stream.url}/ticket`, {
        method: "POST",
        headers: { cookie, origin: "https://evil.example" },
      });
      assert.equal(foreign.status, 403);
      assert.doesNotMatch(await foreign.text(), /"ticket"/);
      const listed = await fetch(`${stream.url}/ticket`, {
        method: "POST",
        headers: { cookie, origin: app },
      });
      assert.equal(listed.status, 200);
      assert.equal(listed.headers.get("access-control-allow-origin"), app);
      assert.equal(listed.headers.get("access-control-allow-credentials"), "true");
      await listed.text();
      const preflight = await fetch(`${stream.url}/ticket`, { method: "OPTIONS", headers: { origin: app } });
      assert.equal(preflight.status, 204);
      assert.match(preflight.headers.get("access-control-allow-methods") ?? "", /POST/);
      assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /authorization/);
      for (const [path, method, status] of [
        ["/ticket", "GET", 405],
        ["/tickets", "POST", 404],
        ["/ticket/x", "POST", 404],
        ["", "POST", 405],
      ] as const) {
        const response = await fetch(`${stream.url}${path}`, { method, headers: { cookie } });
        assert.equal(response.status, status, path);
        await response.text();
      }
    });
  });

  test("isn't made where anyone may read", async () => {
    await withStream({}, async (stream) => assert.equal((await ticketOf(stream, {})).status, 404));
  });

  test("lives as long as it is said to, on the monotonic clock", () => {
    const clock = new SimulatedClock();
    const tickets = new Tickets(clock, 30_000);
    const [first, second] = [tickets.issue(CREDENTIAL, UNKNOWN), tickets.issue(CREDENTIAL, UNKNOWN)];
    assert.ok(typeof first === "string" && typeof second === "string");
    clock.step(3_600_000);
    clock.pass(29_999);
    assert.ok("identity" in tickets.redeem(first));
    clock.pass(1);
    assert.ok("kind" in tickets.redeem(second));
  });

  test("unused ones are bounded, for each user by itself", () => {
    const clock = new SimulatedClock();
    const tickets = new Tickets(clock, 30_000);
    const as = (user: string | null, address = "192.0.2.1") =>
      tickets.issue({ ...CREDENTIAL, address }, { ...UNKNOWN, user });
    for (let n = 0; n < 20; n++) assert.equal(typeof as("42"), "string");
    const refused = as("42");
    assert.ok(typeof refused !== "string" && refused.code === "too_many_tickets" && refused.kind === "later");
    assert.equal(typeof as("43"), "string");
    assert.equal(typeof as(null), "string");
    const one = as("44");
    for (let n = 1; n < 20; n++) as("44");
    tickets.redeem(one as string);
    assert.equal(typeof as("44"), "string", "one that is used makes room");
    for (let n = 0; n < 20_000; n++) as(`other-${n}`);
    assert.notEqual(typeof as("45"), "string", "in all, too");
    clock.pass(30_001);
    assert.equal(typeof as("42"), "string");
  });
});
