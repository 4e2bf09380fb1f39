/** What becomes of a reader who is connected: it expires, is renewed, is revoked; and how many there may be. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { canRevoke } from "../../../src/component.ts";
import { LeatError } from "../../../src/errors.ts";
import { getJson, startForTest, startRunning } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";
import { open, withStream } from "../sse-kit.ts";
import { frame, type StreamUnderTest, TestReader } from "../stream-kit.ts";
import { bearing, byHmac, mint, now, SECRET, statusOf } from "./kit.ts";

const EXACT = { ...byHmac, tolerance: "0s" };

function revoker(stream: StreamUnderTest) {
  assert.ok(canRevoke(stream.sink));
  return stream.sink;
}

describe("a reader's token", () => {
  test("that expires ends its stream, so that it comes back with another, from where it was", async () => {
    await withStream({ auth: { ...EXACT, cookie: "session" } }, async (stream) => {
      const cookie = `session=${await mint({ exp: now() + 2 })}`;
      const reader = await open(stream, "channel=a", { cookie });
      await stream.publish(7, [frame("a", "one")]);
      await waitFor("the event", () => reader.data.includes("one"));
      await waitFor("the end", () => reader.ended);
      assert.ok(reader.text.includes('event: bye\ndata: {"reason":"expired"}'));
      assert.match(reader.text, /retry: \d{4}\nevent: bye/);
      assert.equal(stream.metrics().readers, 0);
      await stream.publish(8, [frame("a", "two")]);
      const back = { "last-event-id": "7", cookie };
      assert.equal((await open(stream, "channel=a", back)).status, 401, "the same one is no good");
      const renewed = await open(stream, "channel=a", { ...back, cookie: `session=${await mint()}` });
      await waitFor("what was missed", () => renewed.data.includes("two"));
      renewed.close();
    });
  });
});

describe("revoking", () => {
  test("a user's connections are cut, and its tokens refused, but for those issued later; nobody else's are", async () => {
    await withStream({ auth: byHmac }, async (stream) => {
      const token = await mint({ iat: now() - 10 });
      const reader = await open(stream, "channel=a", bearing(token));
      const other = await open(stream, "channel=a", bearing(await mint({ sub: "43" })));
      assert.equal(await revoker(stream).revoke("42", null, 60_000), 1);
      await waitFor("the end", () => reader.ended);
      assert.ok(reader.text.includes('event: bye\ndata: {"reason":"revoked"}'));
      assert.equal(await statusOf(stream, bearing(token)), 403);
      for (const iat of [undefined, now() + 60, 1e300])
        assert.equal(
          await statusOf(stream, bearing(await mint({ iat }))),
          403,
          `issued ${iat}, nobody knows when`,
        );
      assert.equal(
        await statusOf(stream, bearing(await mint({ iat: now() + 2 }))),
        200,
        "its issuer knows better",
      );
      await stream.publish(1, [frame("a", "one")]);
      await waitFor("the other's event", () => other.data.includes("one"));
      assert.ok(!other.ended);
      other.close();
      assert.equal(await revoker(stream).restore("42", null), true);
      assert.equal(await revoker(stream).restore("42", null), false);
      assert.equal(await statusOf(stream, bearing(token)), 200);
    });
  });

  test("a channel is cut alone, also from one who comes back naming it, and from patterns that match it", async () => {
    await withStream({ auth: byHmac, channels: ["room.*", "news"] }, async (stream) => {
      const headers = bearing(await mint({ iat: now() - 10 }));
      const reader = await open(stream, "channel=room.1&channel=room.2&channel=news", headers);
      const byPattern = await open(stream, "channel=room.*&channel=news", headers);
      await stream.publish(5, [frame("room.1", "1"), frame("news", "n")]);
      await waitFor("both", () => reader.data.length === 2 && byPattern.data.length === 2);
      assert.equal(await revoker(stream).revoke("42", "room.1", 60_000), 2);
      await stream.publish(6, [frame("room.1", "secret"), frame("room.2", "2"), frame("news", "m")]);
      await waitFor("what is left", () => reader.data.includes("m") && byPattern.data.includes("m"));
      const revoked = (one: TestReader) =>
        one.events.filter(({ type }) => type === "revoked").map(({ data }) => data);
      assert.deepEqual(revoked(reader), ['{"channels":["room.1"]}']);
      assert.deepEqual(revoked(byPattern), ['{"channels":["room.*"]}']);
      assert.ok(reader.data.includes("2"));
      for (const one of [reader, byPattern]) assert.doesNotMatch(one.text, /secret/);
      reader.close();
      byPattern.close();
      const back = await open(stream, "channel=room.1&channel=room.2", { ...headers, "last-event-id": "5" });
      await waitFor("the missed", () => back.data.includes("2"));
      assert.deepEqual(revoked(back), ['{"channels":["room.1"]}']);
      assert.doesNotMatch(back.text, /secret/);
      back.close();
      assert.equal(await statusOf(stream, headers, "channel=room.1"), 403);
      assert.equal(await statusOf(stream, headers, "channel=room.2"), 200);
      assert.equal(await statusOf(stream, headers, "channel=room.*"), 403);
      assert.equal(await statusOf(stream, headers, "channel=room.1&channel=news"), 403, "a new page is told");
    });
  });

  test("one whose every channel is gone is let go", async () => {
    await withStream({ auth: byHmac, channels: ["a"] }, async (stream) => {
      const headers = bearing(await mint({ iat: now() - 10 }));
      const reader = await open(stream, "", headers);
      await revoker(stream).revoke("42", "a", 60_000);
      await waitFor("the end", () => reader.ended);
      assert.ok(reader.text.includes('"reason":"revoked"'));
      const back = await open(stream, "", { ...headers, "last-event-id": "0" });
      assert.equal(back.status, 403);
    });
  });

  test("is bounded", async () => {
    await withStream({ auth: byHmac }, async (stream) => {
      const sink = revoker(stream);
      for (let n = 0; n < 2000; n++) await sink.revoke(`user-${n}`, null, 60_000);
      await assert.rejects(
        sink.revoke("one-more", null, 60_000),
        (error) => error instanceof LeatError && error.code === "too_many_revocations",
      );
      await sink.revoke("user-7", null, 60_000);
      await sink.restore("user-8", null);
      await sink.revoke("one-more", null, 60_000);
    });
  });
});

const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  browser:
    type: sse
    path: /events
    auth: { type: jwt, secret: "${SECRET}", algorithms: [HS256], audience: app }
    channels: ["user.{{ claims.sub }}", all]
routes: { all: { from: in, to: { sink: browser, channel: "user.42" } } }
`;

async function order(admin: string, path: string, body: object) {
  const response = await fetch(`${admin}/api/sinks/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("the admin API's orders", () => {
  test("a revocation cuts, holds over a reload and a restart, and is ended by restore", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "leat-revoke-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const headers = bearing(await mint({ iat: now() - 10 }));
    const read = async (url: string) => {
      const response = await fetch(`${url}/events`, { headers: { ...headers, accept: "application/json" } });
      await response.text();
      return response.status;
    };
    const first = await startRunning(YAML, { folder });
    try {
      const reader = new TestReader(`${first.url}/events`, headers);
      await reader.opened;
      assert.equal(reader.status, 200);
      const done = await order(first.admin, "browser/revoke", { user: "42", for: "1h" });
      assert.equal(done.status, 200);
      assert.deepEqual(
        { ...done.body, until: undefined },
        { sink: "browser", user: "42", channel: null, connections: 1, until: undefined },
      );
      await waitFor("the end", () => reader.ended);
      const { json } = await getJson(`${first.admin}/api/sinks/browser/revocations`);
      const [revocation] = json.revocations as Record<string, unknown>[];
      assert.deepEqual([revocation?.user, revocation?.channel], ["42", null]);
      assert.ok(Date.parse(String(revocation?.until)) > Date.now() + 3_500_000);
      assert.equal(await read(first.url), 403);
      first.writeConfig(YAML.replace("path: /events", "path: /events\n    envelope: true"));
      assert.equal((await first.daemon.reload()).ok, true);
      assert.equal(await read(first.url), 403, "after a reload that made the sink anew");
      assert.doesNotMatch(JSON.stringify(first.logged), /eyJ/);
    } finally {
      // `stop` would remove the folder.
      await first.daemon.stop();
    }
    const second = await startForTest(t, YAML, { folder });
    assert.equal(await read(second.url), 403, "after a restart");
    assert.equal((await order(second.admin, "browser/restore", { user: "42" })).body.restored, true);
    assert.equal(await read(second.url), 200);
  });

  test("that make no sense are refused", async (t) => {
    const { admin } = await startForTest(t, YAML);
    for (const [path, body, status] of [
      ["nobody/revoke", { user: "42" }, 404],
      ["in/revoke", { user: "42" }, 404],
      ["browser/revoke", {}, 400],
      ["browser/revoke", { user: 42 }, 400],
      ["browser/revoke", { user: "42", channel: "" }, 400],
      ["browser/revoke", { user: "42", for: "long" }, 400],
      ["browser/revoke", { user: "42", for: "1000d" }, 400],
      ["browser/restore", {}, 400],
      ["browser/restore", { user: "42" }, 200],
    ] as const)
      assert.equal((await order(admin, path, body)).status, status, `${path} ${JSON.stringify(body)}`);
  });
});

describe("limits", () => {
  test("of one user: further tabs are to come back, other users aren't kept out", async () => {
    await withStream({ auth: byHmac, limits: { per_user: 2 } }, async (stream) => {
      const headers = bearing(await mint());
      const first = await open(stream, "channel=a", headers);
      const second = await open(stream, "channel=a", headers);
      const third = await open(stream, "channel=a", headers);
      assert.equal(third.status, 200);
      await waitFor("the end", () => third.ended);
      assert.match(third.text, /retry: 1\d{4}\nevent: bye\ndata: \{"reason":"load"\}/);
      assert.equal(await statusOf(stream, headers), 429, "of a poll");
      const other = await open(stream, "channel=a", bearing(await mint({ sub: "43" })));
      first.close();
      await waitFor("room", async () => (await statusOf(stream, headers)) === 200);
      assert.ok(!second.ended && !other.ended);
      second.close();
      other.close();
    });
  });

  test("of one address: behind a trusted proxy the client's own, which nobody can make up", async () => {
    const limits = { per_address: 1, trusted_proxies: "127.0.0.0/8" };
    await withStream({ limits }, async (stream) => {
      const from = (forwarded: string) => ({ "x-forwarded-for": forwarded });
      const first = await open(stream, "channel=a", from("203.0.113.7"));
      assert.equal(await statusOf(stream, from("203.0.113.7")), 429);
      assert.equal(await statusOf(stream, from("198.51.100.1, 203.0.113.7")), 429, "what it wrote itself");
      assert.equal(await statusOf(stream, from("203.0.113.7, 127.0.0.9")), 429, "through two proxies");
      assert.equal(await statusOf(stream, from("203.0.113.8")), 200);
      assert.ok(!first.ended);
      first.close();
    });
    await withStream({ limits: { per_address: 1 } }, async (stream) => {
      const first = await open(stream, "channel=a", { "x-forwarded-for": "203.0.113.7" });
      assert.equal(
        await statusOf(stream, { "x-forwarded-for": "203.0.113.8" }),
        429,
        "nobody is believed unasked",
      );
      first.close();
    });
  });

  test("of channels on a connection", async () => {
    await withStream({ limits: { channels: 2 } }, async (stream) => {
      assert.equal(await statusOf(stream, {}, "channel=a&channel=b"), 200);
      assert.equal(await statusOf(stream, {}, "channel=a&channel=b&channel=c"), 400);
    });
  });
});
