/** Who may read a stream, and which channels of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { open, withStream } from "./sse-kit.ts";

describe("who may read", () => {
  test("a bearer's token, one of a list, and nothing else", async () => {
    await withStream({ auth: { type: "bearer", token: ["first", "second"] } }, async (stream) => {
      for (const authorization of ["", "Bearer third", "Bearer", "Basic first", "Bearer firs", "first"]) {
        const reader = await open(stream, "channel=a", authorization ? { authorization } : {});
        assert.equal(reader.status, 401);
        assert.match(reader.headers["www-authenticate"] ?? "", /Bearer/);
        await waitFor("the end", () => reader.ended);
        assert.doesNotMatch(reader.text, /first|second/);
      }
      assert.equal((await open(stream, "channel=a&access_token=first")).status, 401);
      for (const authorization of ["Bearer first", "bearer second"]) {
        const reader = await open(stream, "channel=a", { authorization });
        assert.equal(reader.status, 200);
        reader.close();
      }
    });
  });

  test("a token in the query only where that is written", async () => {
    await withStream({ auth: { type: "bearer", token: "first", query: true } }, async (stream) => {
      const reader = await open(stream, "channel=a&access_token=first");
      assert.equal(reader.status, 200);
      reader.close();
      assert.equal((await open(stream, "channel=a&access_token=other")).status, 401);
      assert.doesNotMatch(stream.log.lines.join(), /access_token|first/);
    });
  });

  test("a channel that isn't allowed is 403, a pattern wider than an entry too", async () => {
    await withStream({ channels: ["prices", "room.*", "sensors/**"] }, async (stream) => {
      for (const channel of ["other", "*", "**", "room.**", "room.1.x", "prices.*", "sensors**", "pr*"]) {
        const reader = await open(stream, `channel=prices&channel=${encodeURIComponent(channel)}`);
        assert.equal(reader.status, 403, channel);
        await waitFor("the answer", () => reader.ended);
        assert.doesNotMatch(reader.text, /sensors/);
      }
      for (const channel of ["prices", "room.1", "room.*", "sensors/**", "sensors/1/*", "sensors/1"]) {
        const reader = await open(stream, `channel=${encodeURIComponent(channel)}`);
        assert.equal(reader.status, 200, channel);
        reader.close();
      }
      assert.equal((await open(stream, `channel=room.${"x".repeat(300)}`)).status, 400);
      assert.equal((await open(stream, Array(101).fill("channel=prices").join("&"))).status, 400);
    });
  });

  test("nothing named where all are patterns is 400", async () => {
    await withStream({ channels: ["room.*"] }, async (stream) => {
      assert.equal((await open(stream, "")).status, 400);
    });
  });

  test("origins: none passes, its own and listed ones pass, others don't", async () => {
    await withStream({ origins: "https://app.example.com" }, async (stream) => {
      const tried: [origin: string | null, status: number][] = [
        [null, 200],
        [`http://127.0.0.1:${stream.port}`, 200],
        ["https://app.example.com", 200],
        ["https://app.example.com.evil.test", 403],
        ["http://app.example.com", 403],
        ["null", 403],
        ["http://127.0.0.1:1", 403],
      ];
      for (const [origin, status] of tried) {
        const reader = await open(stream, "channel=a", origin ? { origin } : {});
        assert.equal(reader.status, status, String(origin));
        assert.equal(
          reader.headers["access-control-allow-origin"],
          origin === "https://app.example.com" ? origin : undefined,
        );
        assert.equal(reader.headers.vary, status === 200 ? "Origin" : undefined);
        reader.close();
      }
    });
  });

  test("on loopback a stream that anyone may read isn't read under a name that a page could have pointed there", async () => {
    const tried = async (fields: object, hosts: readonly string[] | null): Promise<string[]> => {
      const answered: string[] = [];
      await withStream(fields, async (stream) => {
        stream.hosts = hosts;
        await stream.replaceSink();
        for (const host of [
          "evil.example:8080",
          "127.0.0.1.evil.example",
          "localhost.",
          "127.0.0.1:8080",
          "[::1]:8080",
          "LocalHost",
          "app.localhost:1",
          "leat.example.com",
          "app.example.com",
        ]) {
          const reader = await open(stream, "channel=a", { host, authorization: "Bearer t" });
          if (reader.status === 200) answered.push(host);
          else assert.equal(reader.status, 421, host);
        }
      });
      return answered;
    };
    const ours = ["127.0.0.1:8080", "[::1]:8080", "LocalHost", "app.localhost:1"];
    assert.deepEqual(await tried({}, []), ours);
    assert.deepEqual(await tried({}, ["leat.example.com:443"]), [...ours, "leat.example.com"]);
    assert.deepEqual(await tried({ origins: "https://app.example.com" }, []), [...ours, "app.example.com"]);
    const all = 9;
    assert.equal((await tried({}, null)).length, all, "off loopback");
    assert.equal((await tried({ origins: "*" }, [])).length, all, "any page may read anyway");
    const bearer = { auth: { type: "bearer", token: "t" } };
    assert.equal((await tried(bearer, [])).length, all, "no page has the token");
  });

  test("any origin where * is written, without the user's cookies", async () => {
    await withStream({ origins: ["*"] }, async (stream) => {
      const reader = await open(stream, "channel=a", { origin: "https://elsewhere.test" });
      assert.equal(reader.headers["access-control-allow-origin"], "*");
      assert.equal(reader.headers["access-control-allow-credentials"], undefined);
      reader.close();
    });
  });

  test("preflight, HEAD and other methods", async () => {
    await withStream(
      { origins: ["https://app.example.com"], auth: { type: "bearer", token: "t" } },
      async (stream) => {
        const origin = "https://app.example.com";
        const preflight = await fetch(`${stream.url}?channel=a`, { method: "OPTIONS", headers: { origin } });
        assert.equal(preflight.status, 204);
        assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /last-event-id/);
        assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
        const head = await fetch(stream.url, { method: "HEAD", headers: { authorization: "Bearer t" } });
        assert.equal(head.status, 200);
        assert.equal(head.headers.get("content-type"), "text/event-stream");
        const post = await fetch(stream.url, { method: "POST", body: "x" });
        assert.equal(post.status, 405);
        assert.match(post.headers.get("allow") ?? "", /GET/);
        await post.text();
      },
    );
  });
});
