/** An endpoint of the user's as judge: what it is told, what its answers mean, and what its silence means. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { canRevoke } from "../../../src/component.ts";
import { type Credential, UNKNOWN } from "../../../src/sinks/stream/access/admission.ts";
import { Judge } from "../../../src/sinks/stream/access/judge.ts";
import { answeredIdentity, maxAgeMs } from "../../../src/sinks/stream/access/judge-answer.ts";
import { Outside } from "../../../src/sinks/stream/access/outside.ts";
import { SimulatedClock } from "../../journal/simulation/simulated-clock.ts";
import { waitFor } from "../../wait-for.ts";
import { open, withStream } from "../sse-kit.ts";
import { frame, quietLog, TestReader } from "../stream-kit.ts";
import { bearing, byHmac, Endpoint, mint, type Said, statusOf } from "./kit.ts";

async function withJudge(
  answer: Endpoint["answer"],
  body: (server: Endpoint) => Promise<void>,
): Promise<void> {
  const server = await Endpoint.start(answer);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

const KEPT = { headers: { "cache-control": "max-age=60" } };

describe("auth: http", () => {
  test("is asked with the reader's headers, and its answer says who it is and what it may", async () => {
    const answer = ({ headers }: { headers: Record<string, unknown> }): Said =>
      headers.cookie === "session=good"
        ? { body: { user: "42", channels: ["user.42", "room.*", "secret"], expires_in: 600 } }
        : { status: 401 };
    await withJudge(answer, async (server) => {
      const auth = { type: "http", url: server.url, headers: { "x-key": "k" } };
      await withStream({ auth, channels: ["user.{{ claims.sub }}", "room.**"] }, async (stream) => {
        const cookie = "session=good";
        const may = (channel: string) =>
          statusOf(stream, { cookie, "x-other": "no" }, `channel=${encodeURIComponent(channel)}`);
        assert.equal(await may("user.42"), 200);
        assert.equal(await may("room.1"), 200);
        assert.equal(await may("room.**"), 403, "no more than it listed");
        assert.equal(await may("secret"), 403, "no more than the configuration covers");
        assert.equal(await may("user.43"), 403);
        assert.equal(await statusOf(stream, { cookie: "session=bad" }), 401);
        const [first] = server.asked;
        assert.deepEqual(first?.question, {
          sink: "browser",
          action: "connect",
          channels: ["user.42"],
          user: null,
          claims: {},
          address: "127.0.0.1",
          origin: null,
        });
        assert.equal(first?.headers.cookie, cookie);
        assert.equal(first?.headers["x-key"], "k");
        assert.equal(first?.headers["x-other"], undefined);
        assert.match(String(first?.headers["content-type"]), /application\/json/);
      });
    });
  });

  test("is told channels in one spelling, however a reader writes them, and what it knows by that name it grants", async () => {
    await withJudge(
      ({ question }) => ({ status: `${question.channels}`.includes("secret") ? 403 : 200 }),
      async (server) => {
        const auth = { type: "http", url: server.url };
        await withStream({ auth, channels: ["**"] }, async (stream) => {
          const may = (channel: string) =>
            statusOf(stream, bearing("x"), `channel=${encodeURIComponent(channel)}`);
          assert.equal(await may("doc.\\7"), 200);
          assert.equal(await may("doc.\\*.***"), 200);
          assert.equal(await may("se\\cret"), 403);
          assert.equal(await may("\\secret.*"), 403);
          assert.deepEqual(
            server.asked.map(({ question }) => question.channels),
            [["doc.7"], ["doc.\\*.**"], ["secret"], ["secret.*"]],
          );
        });
      },
    );
  });

  test("without a list, the configuration says; 403 is no, and neither answer is asked for twice while it is kept", async () => {
    let said: Said = { body: { user: "42" }, ...KEPT };
    await withJudge(
      () => said,
      async (server) => {
        const auth = { type: "http", url: server.url };
        await withStream({ auth, channels: ["user.{{ claims.sub }}"] }, async (stream) => {
          const query = "channel=user.42";
          assert.equal(await statusOf(stream, bearing("x"), query), 200);
          assert.equal(await statusOf(stream, bearing("x"), query), 200);
          assert.equal(server.asked.length, 1);
          said = { status: 403, ...KEPT };
          assert.equal(await statusOf(stream, bearing("y"), query), 403);
          assert.equal(await statusOf(stream, bearing("y"), query), 403);
          assert.equal(await statusOf(stream, bearing("x"), query), 200);
          assert.equal(server.asked.length, 2);
          assert.equal(
            await statusOf(stream, { ...bearing("x"), cookie: "a=1" }, query),
            403,
            "another reader",
          );
        });
      },
    );
  });

  test("one that is down, slow, or answers nonsense has readers come back, and nobody in", async () => {
    let said: () => Said | Promise<Said> = () => ({ status: 500 });
    await withJudge(
      () => said(),
      async (server) => {
        const auth = { type: "http", url: server.url, timeout: "200ms" };
        await withStream({ auth }, async (stream) => {
          for (const answer of [
            () => ({ status: 500 }),
            () => ({ status: 302, headers: { location: server.url } }),
            () => ({ status: 404 }),
            () => ({ body: "no JSON" }),
            () => ({ body: { channels: "all" } }),
            () => ({ body: { channels: Array(1001).fill("a") } }),
            () => ({ body: { expires_in: -1 } }),
            () => ({ body: "x".repeat(300_000) }),
            () => new Promise<Said>(() => {}),
          ]) {
            said = answer;
            const reader = await open(stream, "channel=a", bearing("x"));
            assert.equal(reader.status, 200, String(answer));
            await waitFor("the end", () => reader.ended);
            assert.deepEqual(
              reader.events.map(({ type, data }) => [type, data]),
              [["bye", '{"reason":"load"}']],
              String(answer),
            );
            assert.equal(await statusOf(stream, bearing("x")), 503);
          }
          assert.equal(stream.log.lines.filter((line) => line.includes("no answer")).length, 1, "told once");
          assert.equal(stream.metrics().readers, 0);
          said = () => ({ body: "" });
          assert.equal(await statusOf(stream, bearing("x")), 200, "an empty 2xx is a yes");
        });
      },
    );
  });

  test("a reader that is gone by the time of the answer holds no place", async () => {
    const answers: (() => void)[] = [];
    await withJudge(
      () => new Promise<Said>((resolve) => answers.push(() => resolve({}))),
      async (server) => {
        const auth = { type: "http", url: server.url };
        await withStream({ auth, limits: { connections: 1 } }, async (stream) => {
          const reader = new TestReader(`${stream.url}?channel=a`, bearing("x"));
          await waitFor("the question", () => answers.length === 1);
          reader.close();
          await waitFor("its end", () => reader.ended);
          // The server has seen the end once it has answered another one that came later.
          assert.equal((await fetch(stream.url, { method: "OPTIONS" })).status, 204);
          for (const answer of answers) answer();
          const next = statusOf(stream, bearing("y"));
          await waitFor("its question", () => answers.length === 2);
          answers[1]?.();
          assert.equal(await next, 200);
          assert.equal(stream.metrics().readers, 0);
        });
      },
    );
  });

  test("no redirect is followed: nobody but the endpoint is asked, or given what readers show", async () => {
    await withJudge(
      () => ({}),
      async (elsewhere) => {
        let status = 302;
        const answer = () => ({ status, headers: { location: elsewhere.url } });
        await withJudge(answer, async (server) => {
          await withStream({ auth: { type: "http", url: server.url } }, async (stream) => {
            for (status of [301, 302, 303, 307, 308]) {
              assert.equal(await statusOf(stream, bearing("x")), 503, String(status));
            }
          });
          assert.equal(server.asked.length, 5);
        });
        assert.equal(elsewhere.asked.length, 0);
      },
    );
  });

  test("once something is revoked, what it said before counts for nobody", async () => {
    await withJudge(
      () => ({ body: { user: "42" }, ...KEPT }),
      async (server) => {
        await withStream({ auth: { type: "http", url: server.url } }, async (stream) => {
          for (let n = 0; n < 2; n++) assert.equal(await statusOf(stream, bearing("x")), 200);
          assert.equal(server.asked.length, 1);
          assert.ok(canRevoke(stream.sink));
          await stream.sink.revoke("42", "b", 60_000);
          assert.equal(await statusOf(stream, bearing("x")), 200);
          assert.equal(server.asked.length, 2);
          assert.equal(await statusOf(stream, bearing("x"), "channel=b"), 403);
        });
      },
    );
  });

  test("an address that is denied is not connected to", async () => {
    await withJudge(
      () => ({}),
      async (server) => {
        const auth = { type: "http", url: server.url, addresses: { deny: "private" } };
        await withStream({ auth }, async (stream) => {
          assert.equal(await statusOf(stream, bearing("x")), 503);
          assert.equal(server.asked.length, 0);
        });
      },
    );
  });

  test("nothing that a reader sends becomes another header, host or path", async () => {
    await withJudge(
      () => ({}),
      async (server) => {
        const auth = { type: "http", url: server.url, query: true, cookie: "session" };
        await withStream({ auth }, async (stream) => {
          const token = encodeURIComponent("x\r\nhost: evil.example\r\n\r\nGET /");
          assert.equal(await statusOf(stream, {}, `channel=a&access_token=${token}`), 401);
          assert.equal(server.asked.length, 0);
          assert.equal(await statusOf(stream, { cookie: "session=abc" }), 200);
          assert.equal(server.asked[0]?.headers.authorization, "Bearer abc");
        });
      },
    );
  });
});

describe("judge: beside jwt", () => {
  test("is asked of good tokens only, with their claims, and what it says is added", async () => {
    await withJudge(
      ({ question }) => ({ body: question.user === "42" ? { publish: ["room.1"] } : { channels: [] } }),
      async (server) => {
        const fields = { auth: byHmac, judge: { url: server.url }, channels: ["user.{{ claims.sub }}"] };
        await withStream(fields, async (stream) => {
          assert.equal(await statusOf(stream, bearing(await mint({ aud: "x" })), "channel=user.42"), 401);
          assert.equal(server.asked.length, 0);
          assert.equal(await statusOf(stream, bearing(await mint()), "channel=user.42"), 200);
          assert.match(server.asked[0]?.body ?? "", /"aud":"app"/);
          assert.equal(await statusOf(stream, bearing(await mint({ sub: "43" })), "channel=user.43"), 403);
        });
      },
    );
  });

  test("is asked again: a channel that it takes away is cut alone, and a reader that it refuses is let go", async () => {
    let said: Said = { body: { channels: ["a", "b"] } };
    await withJudge(
      () => said,
      async (server) => {
        const fields = { auth: byHmac, judge: { url: server.url, refresh: "1s" }, channels: ["a", "b", "c"] };
        await withStream(fields, async (stream) => {
          const reader = await open(stream, "channel=a&channel=b", bearing(await mint()));
          await stream.publish(1, [frame("a", "a1"), frame("b", "b1")]);
          await waitFor("both", () => reader.data.includes("b1"));
          said = { body: { channels: ["a"] } };
          await waitFor("the cut", () => reader.events.some(({ type }) => type === "revoked"));
          assert.deepEqual(
            reader.events.filter(({ type }) => type === "revoked").map(({ data }) => data),
            ['{"channels":["b"]}'],
          );
          await stream.publish(2, [frame("a", "a2"), frame("b", "b2")]);
          await waitFor("what is left", () => reader.data.includes("a2"));
          assert.ok(!reader.data.includes("b2"));
          said = { status: 500 };
          const before = server.asked.length;
          await waitFor("two more questions", () => server.asked.length >= before + 2);
          assert.ok(!reader.ended, "no answer is no refusal");
          said = { status: 403 };
          await waitFor("the end", () => reader.ended);
          assert.ok(reader.text.includes('event: bye\ndata: {"reason":"revoked"}'));
          assert.ok(!reader.text.includes("b2"));
        });
      },
    );
  });

  test("past its grace a silent judge ends readers, who are to come back", async () => {
    let said: Said = {};
    await withJudge(
      () => said,
      async (server) => {
        const judge = { url: server.url, refresh: "1s", grace: "1s" };
        await withStream({ auth: byHmac, judge }, async (stream) => {
          const reader = await open(stream, "channel=a", bearing(await mint()));
          said = { status: 500 };
          await waitFor("the end", () => reader.ended);
          assert.ok(reader.text.includes('event: bye\ndata: {"reason":"expired"}'));
        });
      },
    );
  });
});

describe("a judge's answers", () => {
  const CREDENTIAL: Credential = {
    token: "t",
    headers: {},
    origin: null,
    asked: [],
    address: "192.0.2.1",
    issuedAt: null,
  };

  async function withJudgeAlone(
    answer: Endpoint["answer"],
    body: (judge: Judge, server: Endpoint, clock: SimulatedClock) => Promise<void>,
  ) {
    await withJudge(answer, async (server) => {
      const clock = new SimulatedClock();
      const outside = new Outside({ url: server.url, timeoutMs: 5000, maxBytes: 64 * 1024 });
      const chance = { random: () => 0.5 };
      const judge = new Judge({
        sink: "s",
        outside,
        headers: {},
        maxCacheMs: 300_000,
        clock,
        chance,
        log: quietLog(),
      });
      try {
        await body(judge, server, clock);
      } finally {
        await judge.stop();
      }
    });
  }

  test("are kept as long as they say, at most as long as is allowed, and no longer than a bound lets them", async () => {
    let cacheControl = "max-age=60";
    await withJudgeAlone(
      () => ({ headers: { "cache-control": cacheControl } }),
      async (judge, server, clock) => {
        const ask = (channel = "a", fresh = false) =>
          judge.ask("connect", [channel], CREDENTIAL, null, fresh);
        await ask();
        clock.pass(59_000);
        await ask();
        assert.equal(server.asked.length, 1);
        clock.pass(1000);
        cacheControl = "max-age=100000";
        await ask();
        clock.pass(299_000);
        await ask();
        assert.equal(server.asked.length, 2);
        clock.pass(1000);
        await ask();
        assert.equal(server.asked.length, 3);
        await ask("a", true);
        assert.equal(server.asked.length, 4, "asked anew");
        judge.forget();
        await ask();
        assert.equal(server.asked.length, 5);
        cacheControl = "no-store, max-age=60";
        await ask("b");
        await ask("b");
        assert.equal(server.asked.length, 7);
      },
    );
  });

  test("that are kept are bounded by their length, the oldest going first", async () => {
    await withJudgeAlone(
      () => ({ ...KEPT, body: { claims: { more: "x".repeat(60_000) } } }),
      async (judge, server) => {
        const ask = (n: number) => judge.ask("connect", [String(n)], CREDENTIAL, null);
        for (let n = 0; n < 300; n++) await ask(n);
        assert.equal(server.asked.length, 300);
        await ask(299);
        await ask(30);
        assert.equal(server.asked.length, 300, "the latest are kept");
        await ask(0);
        assert.equal(server.asked.length, 301);
      },
    );
  });

  test("are one for all who ask the same at once", async () => {
    await withJudgeAlone(
      () => ({}),
      async (judge, server) => {
        await Promise.all(Array.from({ length: 100 }, () => judge.ask("connect", [], CREDENTIAL, null)));
        assert.equal(server.asked.length, 1);
        await judge.ask("subscribe", ["a"], CREDENTIAL, null);
        await judge.ask("publish", ["a"], CREDENTIAL, null);
        assert.deepEqual(
          server.asked.map(({ question }) => question.action),
          ["connect", "subscribe", "publish"],
        );
      },
    );
  });

  test("that are waited for are at most 2,000: one question more fails at once, and has a place when one is free", async () => {
    let answer = (): Said | Promise<Said> => new Promise(() => {});
    await withJudge(
      () => answer(),
      async (server) => {
        const outside = new Outside({ url: server.url, timeoutMs: 300, maxBytes: 1024 });
        const waiting = Array.from({ length: 2000 }, () => outside.ask("POST", {}, "{}"));
        assert.deepEqual(await outside.ask("POST", {}, "{}"), { ok: false, fault: "crowded" });
        const said = await Promise.all(waiting);
        assert.deepEqual(new Set(said.map((each) => each.ok || each.fault)), new Set(["timeout"]));
        answer = () => ({});
        const after = await outside.ask("POST", {}, "{}");
        assert.ok(after.ok && after.status === 200);
        await outside.close();
      },
    );
  });

  test("can shorten a token's life and not lengthen it", () => {
    const now = 1_000_000;
    const known = { ...UNKNOWN, expiresAt: now + 5000, user: "u", claims: { sub: "u", org: 1 } };
    assert.equal(answeredIdentity('{"expires_in":2}', known, now)?.expiresAt, now + 2000);
    assert.equal(answeredIdentity('{"expires_in":20}', known, now)?.expiresAt, now + 5000);
    assert.equal(answeredIdentity('{"expires_in":2}', UNKNOWN, now)?.expiresAt, now + 2000);
    assert.equal(answeredIdentity(" ", UNKNOWN, now)?.expiresAt, null);
    assert.deepEqual(answeredIdentity('{"user":"v"}', known, now)?.claims, { sub: "v", org: 1 });
    assert.deepEqual(answeredIdentity('{"claims":{"a":1}}', known, now)?.claims, { a: 1 });
    for (const nonsense of [
      "[]",
      "17",
      '"yes"',
      "null",
      "{",
      '{"user":""}',
      '{"user":5}',
      '{"publish":[""]}',
    ])
      assert.equal(answeredIdentity(nonsense, known, now), null, nonsense);
  });

  test("say how long they may be kept in Cache-Control alone", () => {
    for (const [value, ms] of [
      [undefined, 0],
      ["", 0],
      ["max-age=5", 5000],
      ["private, max-age=5", 5000],
      ['Max-Age="5"', 5000],
      ["s-maxage=9", 0],
      ["max-age=-5", 0],
      ["no-store, max-age=5", 0],
      ["max-age=5, no-cache", 0],
      ["max-age=99999999999", 999_999_999_000],
    ] as const)
      assert.equal(maxAgeMs({ "cache-control": value }), ms, String(value));
  });
});
