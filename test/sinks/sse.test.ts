import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { frame, StreamUnderTest, TestReader } from "./stream-kit.ts";

async function withStream(fields: object, body: (stream: StreamUnderTest) => Promise<void>): Promise<void> {
  const stream = await StreamUnderTest.start(fields);
  try {
    await body(stream);
  } finally {
    await stream.close();
  }
}

async function open(stream: StreamUnderTest, query: string, headers: Record<string, string> = {}) {
  const reader = new TestReader(`${stream.url}?${query}`, headers);
  await reader.opened;
  return reader;
}

/** One long poll. */
async function ask(stream: StreamUnderTest, query: string) {
  const response = await fetch(`${stream.url}?${query}`, { headers: { accept: "application/json" } });
  assert.equal(response.status, 200);
  return (await response.json()) as {
    events: { seq: number; data: unknown }[];
    next: number;
    gap?: object;
  };
}

describe("what a reader hears", () => {
  test("the first bytes come at once, with the headers that keep proxies from buffering", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(40, []);
      const reader = await open(stream, "channel=a");
      await waitFor("the greeting", () => reader.parser.lastEventId === "40");
      assert.equal(reader.status, 200);
      assert.equal(reader.headers["content-type"], "text/event-stream");
      assert.match(reader.headers["cache-control"] ?? "", /no-transform/);
      assert.equal(reader.headers["x-accel-buffering"], "no");
      assert.ok((reader.parser.retry ?? 0) >= 1000);
      reader.close();
    });
  });

  test("live frames of its channels, each seq in one piece", async () => {
    await withStream({}, async (stream) => {
      const reader = await open(stream, "channel=a&channel=b");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [frame("a", "1a"), frame("c", "1c"), frame("b", "1b")]);
      await stream.publish(2, [frame("c", "2c")]);
      await stream.publish(3, [frame("a", "3a")]);
      await waitFor("three events", () => reader.events.length === 3);
      assert.deepEqual(
        reader.events.map(({ data, lastEventId }) => [data, lastEventId]),
        [
          ["1a", ""],
          ["1b", "1"],
          ["3a", "3"],
        ],
      );
      reader.close();
      await waitFor("the reader to be gone", () => stream.metrics().readers === 0);
      const { frames, gaps, stalled } = stream.metrics();
      assert.deepEqual({ frames, gaps, stalled }, { frames: 3, gaps: 0, stalled: 0 });
    });
  });

  test("a channel named twice, or by a pattern beside its name, is one", async () => {
    await withStream({}, async (stream) => {
      const reader = await open(stream, "channel=a&channel=a&channel=*");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [frame("a", "once"), frame("x.y", "not")]);
      await stream.publish(2, [frame("b", "end")]);
      await waitFor("the end", () => reader.data.includes("end"));
      assert.deepEqual(reader.data, ["once", "end"]);
      reader.close();
    });
  });

  test("none named: all that are no patterns", async () => {
    await withStream({ channels: ["a", "b", "room.*"] }, async (stream) => {
      const reader = await open(stream, "");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [frame("room.1", "no"), frame("a", "yes"), frame("b", "too")]);
      await waitFor("both", () => reader.events.length === 2);
      assert.deepEqual(reader.data, ["yes", "too"]);
      reader.close();
    });
  });

  test("heartbeats carry the seq up to which it has everything", async () => {
    await withStream({ heartbeat: "50ms" }, async (stream) => {
      const reader = await open(stream, "channel=a");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(7, [frame("b", "not for it")]);
      await stream.publish(8, []);
      await waitFor("the position", () => reader.parser.lastEventId === "8");
      assert.deepEqual(reader.events, []);
      reader.close();
    });
  });

  test("the type and an envelope where they are asked for", async () => {
    await withStream({ event: true, envelope: true }, async (stream) => {
      const reader = await open(stream, "channel=a");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [{ ...frame("a", '{"n":1}'), type: "order.paid" }]);
      await waitFor("the event", () => reader.events.length === 1);
      assert.equal(reader.events[0]?.type, "order.paid");
      assert.deepEqual(JSON.parse(reader.data[0] ?? "").data, { n: 1 });
      reader.close();
    });
  });
});

describe("resuming", () => {
  const fill = async (stream: StreamUnderTest, from: number, to: number) => {
    await stream.index.write([]);
    for (let seq = from; seq <= to; seq++) await stream.publish(seq, [frame(seq % 2 ? "a" : "b", `${seq}`)]);
  };

  test("by header, by either query, and the header wins", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 1, 10);
      for (const [query, headers] of [
        ["", { "last-event-id": "6" }],
        ["&last_event_id=6", {}],
        ["&lastEventId=6", {}],
        ["&last_event_id=1", { "last-event-id": "6" }],
      ] as [string, Record<string, string>][]) {
        const reader = await open(stream, `channel=a${query}`, headers);
        await waitFor("both missed", () => reader.events.length === 2);
        assert.deepEqual(reader.data, ["7", "9"]);
        reader.close();
      }
    });
  });

  test("history and what comes live meet without a hole", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 1, 3000);
      const reader = await open(stream, "channel=a&channel=b", { "last-event-id": "500" });
      for (let seq = 3001; seq <= 3200; seq++) {
        await stream.publish(seq, [frame("a", `${seq}`)]);
      }
      await waitFor("all", () => reader.events.length >= 2700);
      assert.deepEqual(
        reader.data,
        Array.from({ length: 2700 }, (_, at) => `${at + 501}`),
      );
      reader.close();
    });
  });

  test("a position below what is held gets a gap, then all there is", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      const reader = await open(stream, "channel=a", { "last-event-id": "50" });
      await waitFor("the rest", () => reader.data.at(-1) === "109");
      const [gap, ...rest] = reader.events;
      assert.equal(gap?.type, "gap");
      assert.equal(gap?.lastEventId, "99");
      assert.deepEqual(JSON.parse(gap?.data ?? ""), { asked: 50, oldest: 99, newest: 110 });
      assert.deepEqual(
        rest.map(({ data }) => data),
        ["101", "103", "105", "107", "109"],
      );
      assert.equal(stream.metrics().gaps, 1);
      reader.close();
    });
  });

  test("one above what was committed (a backup was put back) gets a gap, then all there is; a poll too", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      const reader = await open(stream, "channel=a", { "last-event-id": "999" });
      await waitFor("the rest", () => reader.data.at(-1) === "109");
      const [gap, ...rest] = reader.events;
      assert.equal(gap?.type, "gap");
      assert.equal(gap?.lastEventId, "99");
      assert.deepEqual(JSON.parse(gap?.data ?? ""), { asked: 999, oldest: 99, newest: 110 });
      assert.deepEqual(
        rest.map(({ data }) => data),
        ["101", "103", "105", "107", "109"],
      );
      reader.close();
      assert.deepEqual(await ask(stream, "channel=a&since=999"), {
        events: [],
        next: 99,
        gap: { asked: 999, oldest: 99, newest: 110 },
      });
    });
  });

  test("one that is none gets a gap and goes on live", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      for (const asked of ["urn:uuid:1", "-5", "1e3", "99999999999999999999", "x".repeat(500)]) {
        const reader = await open(stream, "channel=a", { "last-event-id": asked });
        await waitFor("the gap", () => reader.events.length === 1);
        assert.equal(reader.events[0]?.type, "gap");
        assert.equal(reader.parser.lastEventId, "110");
        const told = JSON.parse(reader.data[0] ?? "").asked;
        assert.equal(String(told), asked.slice(0, 64));
        reader.close();
      }
    });
  });

  test("what was handed out before a crash and not yet indexed is no gap, and not sent again", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      stream.committed = 112;
      const reader = await open(stream, "channel=a", { "last-event-id": "111" });
      await waitFor("the greeting", () => reader.parser.lastEventId === "111");
      await stream.publish(111, [frame("a", "again")]);
      await stream.publish(112, [frame("a", "new")]);
      await waitFor("the new one", () => reader.events.length === 1);
      assert.deepEqual(reader.data, ["new"]);
      reader.close();
    });
  });

  test("history.on_connect gives the last while to one without a position", async () => {
    await withStream({ history: { on_connect: "5m" } }, async (stream) => {
      const now = Date.now();
      await stream.publish(1, [frame("a", "old", now - 600_000)]);
      await stream.publish(2, [frame("a", "recent", now - 60_000)]);
      const reader = await open(stream, "channel=a");
      await waitFor("the recent one", () => reader.events.length === 1);
      assert.deepEqual(reader.data, ["recent"]);
      reader.close();
    });
  });

  test("retention that overtakes a reader is a gap", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 1, 20);
      await stream.index.retain("browser", Date.now() + 10_000);
      const reader = await open(stream, "channel=a", { "last-event-id": "3" });
      await waitFor("the gap", () => reader.events.length === 1);
      assert.deepEqual(JSON.parse(reader.data[0] ?? ""), { asked: 3, oldest: 20, newest: 20 });
      reader.close();
    });
  });
});

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

describe("long polls", () => {
  test("answer at once what is there", async () => {
    await withStream({}, async (stream) => {
      for (let seq = 10; seq <= 15; seq++)
        await stream.publish(seq, [frame("a", `{"n":${seq}}`), frame("b", "x")]);
      const answer = await ask(stream, "channel=a&since=12");
      assert.deepEqual(
        answer.events.map(({ data }) => data),
        [{ n: 13 }, { n: 14 }, { n: 15 }],
      );
      assert.equal(answer.next, 15);
      assert.deepEqual(await ask(stream, "channel=a&since=15"), { events: [], next: 15 });
      assert.deepEqual(await ask(stream, "channel=a"), { events: [], next: 15 });
      assert.deepEqual(await ask(stream, "channel=a&since=2"), {
        events: [],
        next: 9,
        gap: { asked: 2, oldest: 9, newest: 15 },
      });
    });
  });

  test("wait for the next one", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(1, [frame("a", "one")]);
      const answer = ask(stream, "channel=a&since=1&wait=20s");
      await waitFor("the poll to wait", () => stream.metrics().readers === 1);
      await stream.publish(2, [frame("b", "not it")]);
      await stream.publish(3, [frame("a", "two")]);
      assert.deepEqual(
        (await answer).events.map(({ data }) => data),
        ["two"],
      );
      assert.equal((await answer).next, 3);
    });
  });

  test("answer empty when the wait is over, and move the position", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(1, [frame("a", "one")]);
      const answer = ask(stream, "channel=a&since=1&wait=300ms");
      await waitFor("the poll to wait", () => stream.metrics().readers === 1);
      await stream.publish(2, [frame("b", "not it")]);
      assert.deepEqual(await answer, { events: [], next: 2 });
    });
  });

  test("a chain of polls sees everything once", async () => {
    await withStream({}, async (stream) => {
      for (let seq = 1; seq <= 1500; seq++)
        void stream.publish(seq, [frame("a", `${seq}`), frame("a", `${seq}'`)]);
      const seen: unknown[] = [];
      for (let next = 0; next < 1500; ) {
        const answer = await ask(stream, `channel=a&since=${next}&wait=1s`);
        seen.push(...answer.events.map(({ data }) => data));
        assert.ok(answer.next > next);
        next = answer.next;
      }
      assert.equal(seen.length, 3000);
      assert.equal(new Set(seen.map(String)).size, 3000);
    });
  });

  test("refuse what is no wait, and what isn't allowed", async () => {
    await withStream({ channels: ["a"] }, async (stream) => {
      for (const [query, status] of [
        ["channel=a&wait=soon", 400],
        ["channel=b", 403],
      ]) {
        const response = await fetch(`${stream.url}?${query}`, { headers: { accept: "application/json" } });
        assert.equal(response.status, status);
        await response.text();
      }
    });
  });
});

describe("refusing for a while", () => {
  test("beyond max_readers: a 200 that says bye, and a reader that goes makes room", async () => {
    await withStream({ max_readers: 1 }, async (stream) => {
      const first = await open(stream, "channel=a");
      const second = await open(stream, "channel=a");
      await waitFor("its end", () => second.ended);
      assert.equal(second.status, 200);
      assert.deepEqual(second.events, [{ type: "bye", data: '{"reason":"load"}', lastEventId: "" }]);
      assert.ok((second.parser.retry ?? 0) >= 1000);
      const poll = await fetch(`${stream.url}?channel=a`, { headers: { accept: "application/json" } });
      assert.equal(poll.status, 503);
      assert.ok(poll.headers.get("retry-after"));
      await poll.text();
      first.close();
      await waitFor("room", () => stream.metrics().readers === 0);
      const third = await open(stream, "channel=a");
      await waitFor("the greeting", () => third.parser.comments > 0);
      assert.equal(stream.metrics().refused, 2);
      third.close();
    });
  });

  test("stopping says bye to all, with jitter, answers polls, and resolves when none is left", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(5, []);
      const readers = await Promise.all(Array.from({ length: 20 }, () => open(stream, "channel=a")));
      const poll = fetch(`${stream.url}?channel=a&wait=20s`, { headers: { accept: "application/json" } });
      await waitFor("all", () => stream.metrics().readers === 21);
      await stream.sink.stop();
      assert.equal(stream.metrics().readers, 0);
      assert.deepEqual(await (await poll).json(), { events: [], next: 5 });
      await waitFor("their ends", () => readers.every((reader) => reader.ended));
      for (const reader of readers) {
        assert.deepEqual(
          reader.events.map(({ type }) => type),
          ["bye"],
        );
        assert.equal(reader.parser.lastEventId, "5");
      }
      assert.ok(new Set(readers.map(({ parser }) => parser.retry)).size > 5);
      const late = await open(stream, "channel=a");
      await waitFor("its end", () => late.ended);
      assert.deepEqual(
        late.events.map(({ type }) => type),
        ["bye"],
      );
    });
  });
});

test("a sink that replaces another gives its readers what the old one still hands out", async () => {
  await withStream({ path: "/events" }, async (stream) => {
    await stream.publish(10, [frame("a", "10")]);
    // The new one starts; the old one has 11 under way, which only the index gets; 12 goes to the new one.
    await stream.replaceSink();
    const reader = await open(stream, "channel=a", { "last-event-id": "10" });
    const poll = fetch(`${stream.url}?channel=a&since=10&wait=20s`, {
      headers: { accept: "application/json" },
    });
    await waitFor("both", () => stream.metrics().readers === 2 && reader.parser.comments > 0);
    const late = stream.index.write([{ stream: "browser", seq: 11, frames: [frame("a", "11")] }]);
    await stream.publish(12, [frame("a", "12")]);
    await late;
    await waitFor("both events", () => reader.events.length === 2);
    assert.deepEqual(reader.data, ["11", "12"]);
    const { events } = (await (await poll).json()) as { events: { seq: number }[] };
    assert.equal(events[0]?.seq, 11);
    reader.close();
  });
});
