import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { StreamFrame } from "../../src/component.ts";
import { LeatError } from "../../src/errors.ts";
import {
  encodeBye,
  encodeEvent,
  encodeGap,
  encodeGroup,
  encodeHeartbeat,
  encodeHello,
  eventName,
} from "../../src/sinks/sse/frame.ts";
import { parse } from "./sse-parser.ts";

const plain = { event: false, envelope: false };

function frame(body: string | Uint8Array, more: Partial<StreamFrame> = {}): StreamFrame {
  return { channel: "a", type: "t", id: "evt_1", time: 0, body: Buffer.from(body), ...more };
}

/** Each as in web-platform-tests, eventsource/format-*; they hold the parser the tests rely on to the standard. */
describe("the test's parser reads as the standard says", () => {
  const cases: [name: string, stream: string, events: [type: string, data: string][]][] = [
    [
      "format-bom",
      "\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n",
      [
        ["message", "1"],
        ["message", "3"],
      ],
    ],
    ["format-comments", ":\0\ndata:1\n:\ndata:2\n:x\ndata:3\n\n", [["message", "1\n2\n3"]]],
    [
      "format-field-data",
      "data:\n\ndata\ndata\n\ndata:test\n\n",
      [
        ["message", ""],
        ["message", "\n"],
        ["message", "test"],
      ],
    ],
    [
      "format-field-data-before-final-empty-line",
      "retry:1000\ndata:test1\n\nid:test\ndata:test2",
      [["message", "test1"]],
    ],
    [
      "format-field-event",
      "event:test\ndata:x\n\ndata:x\n\n",
      [
        ["test", "x"],
        ["message", "x"],
      ],
    ],
    ["format-field-event-empty", "event: \ndata:data\n\n", [["message", "data"]]],
    [
      "format-field-parsing",
      "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
      [["message", "\0\n 2\n1\n3\n\n4"]],
    ],
    [
      "format-field-unknown",
      "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
      [["message", "test\n\ntest"]],
    ],
    ["format-leading-space", "data:\ttest\rdata: \ndata:test\n\n", [["message", "\ttest\n\ntest"]]],
    ["format-newlines", "data:test\r\ndata\ndata:test\r\n\r", [["message", "test\n\ntest"]]],
    ["format-null-character", "data:\0\n\n", [["message", "\0"]]],
    ["format-utf-8", "data:ok…\n\n", [["message", "ok…"]]],
  ];
  for (const [name, stream, events] of cases) {
    test(name, () => {
      assert.deepEqual(
        parse(stream).events.map(({ type, data }) => [type, data]),
        events,
      );
    });
  }

  test("format-field-id, -null and retry", () => {
    assert.equal(parse("id:1\ndata:x\n\nid\ndata:y\n\n").lastEventId, "");
    assert.equal(parse("id:1\0\ndata:x\n\n").lastEventId, "");
    assert.equal(parse("retry:1000x\n").retry, null);
    assert.equal(parse("retry:3000\nretry: 1000\n").retry, 1000);
  });
});

test("a frame is an id and its body, unnamed", () => {
  assert.equal(encodeGroup(plain, 41, [frame('{"a":1}')]).toString(), 'data: {"a":1}\nid: 41\n\n');
});

test("lines end at CR, LF and CRLF, and none of them ends the field", () => {
  const body = "one\ntwo\rthree\r\nfour\n\ndata: forged\nid: 7\nevent: forged\n\n";
  const { events } = parse(encodeGroup(plain, 41, [frame(body)]));
  assert.deepEqual(events, [{ type: "message", data: body.replace(/\r\n?/g, "\n"), lastEventId: "41" }]);
});

test("an empty body is an event too", () => {
  assert.deepEqual(parse(encodeGroup(plain, 1, [frame("")])).events, [
    { type: "message", data: "", lastEventId: "1" },
  ]);
});

test("several frames of one seq: only the last carries the id", () => {
  const { events } = parse(encodeGroup(plain, 9, [frame("1"), frame("2"), frame("3")]));
  assert.deepEqual(
    events.map(({ data, lastEventId }) => [data, lastEventId]),
    [
      ["1", ""],
      ["2", ""],
      ["3", "9"],
    ],
  );
});

test("an id or a name with CR, LF or NUL is refused", () => {
  for (const bad of ["a\nb", "a\rb", "a\0b"]) {
    for (const fields of [
      { id: bad, data: "x" },
      { event: bad, data: "x" },
    ]) {
      assert.throws(
        () => encodeEvent(fields),
        (error: unknown) => error instanceof LeatError && error.code === "sse_forbidden_character",
      );
    }
  }
});

test("a type that can't be a name, or passes for one of ours, is sent unnamed and loses nothing", () => {
  for (const type of ["a\nid: 0", "\0", "", "gap", "bye", "error", "open"]) {
    assert.equal(eventName(type), undefined);
    const { events } = parse(encodeGroup({ event: true, envelope: false }, 3, [frame("x", { type })]));
    assert.deepEqual(events, [{ type: "message", data: "x", lastEventId: "3" }]);
  }
  const { events } = parse(
    encodeGroup({ event: true, envelope: false }, 3, [frame("x", { type: "order.paid" })]),
  );
  assert.equal(events[0]?.type, "order.paid");
});

test("an envelope holds the body as it was written", () => {
  const envelope = (body: string | Uint8Array) =>
    parse(encodeGroup({ event: false, envelope: true }, 5, [frame(body)])).events[0]?.data ?? "";
  assert.equal(
    envelope('{"n":12345678901234567890}'),
    '{"channel":"a","seq":5,"id":"evt_1","type":"t","time":"1970-01-01T00:00:00.000Z","data":{"n":12345678901234567890}}',
  );
  assert.deepEqual(JSON.parse(envelope('{\n  "a": 1\r\n}')).data, { a: 1 });
  assert.equal(JSON.parse(envelope("no json\n")).data, "no json\n");
  assert.equal(JSON.parse(envelope("")).data, "");
  const bytes = Uint8Array.of(0xff, 0xfe, 0);
  assert.equal(JSON.parse(envelope(bytes)).data_base64, Buffer.from(bytes).toString("base64"));
  assert.ok(!("data" in JSON.parse(envelope(bytes))));
});

test("a body that is no text comes as base64", () => {
  assert.equal(parse(encodeGroup(plain, 1, [frame(Uint8Array.of(0xff, 0x00))])).events[0]?.data, "/wA=");
});

test("heartbeats and greetings move the position and dispatch nothing", () => {
  const hello = parse(encodeHello(7, 1500.4));
  assert.deepEqual([hello.events, hello.lastEventId, hello.retry], [[], "7", 1500]);
  const beat = parse(encodeHeartbeat(9));
  assert.deepEqual([beat.events, beat.lastEventId, beat.comments], [[], "9", 1]);
  assert.equal(encodeHeartbeat(0).toString(), ":\n\n");
});

test("gap and bye are named events", () => {
  const gap = parse(encodeGap({ asked: "x\n\ndata: y", oldest: 5, newest: 8 }, 5)).events;
  assert.equal(gap.length, 1);
  assert.deepEqual(JSON.parse(gap[0]?.data ?? ""), { asked: "x\n\ndata: y", oldest: 5, newest: 8 });
  assert.equal(gap[0]?.type, "gap");
  assert.equal(gap[0]?.lastEventId, "5");
  const bye = parse(encodeBye("restart", 1234));
  assert.deepEqual(bye.events, [{ type: "bye", data: '{"reason":"restart"}', lastEventId: "" }]);
  assert.equal(bye.retry, 1234);
});

test("whatever events hold, a reader sees exactly them", () => {
  const nasty = fc.string({
    unit: fc.constantFrom(
      "\r",
      "\n",
      "\0",
      ":",
      " ",
      "data",
      "id",
      "event",
      "retry",
      "x",
      "ÿ",
      "\u2028",
      "\ufeff",
      "{",
      '"',
    ),
  });
  const body = fc.oneof(nasty, fc.string({ unit: "grapheme" }), fc.uint8Array());
  const frames = fc.array(
    fc.record({
      channel: nasty,
      type: nasty,
      id: nasty,
      time: fc.nat(),
      body: body.map((one) => Buffer.from(one as string)),
    }),
    { minLength: 1, maxLength: 5 },
  );
  fc.assert(
    fc.property(frames, fc.nat(), fc.boolean(), fc.boolean(), (group, seq, event, envelope) => {
      const parsed = parse(encodeGroup({ event, envelope }, seq, group));
      assert.equal(parsed.events.length, group.length);
      assert.equal(parsed.lastEventId, String(seq));
      assert.equal(parsed.retry, null);
      for (const [at, { type, data }] of parsed.events.entries()) {
        const sent = group[at] as StreamFrame;
        assert.equal(type, event ? (eventName(sent.type) ?? "message") : "message");
        if (!envelope) continue;
        const read = JSON.parse(data);
        assert.deepEqual(
          [read.channel, read.seq, read.id, read.type],
          [sent.channel, seq, sent.id, sent.type],
        );
      }
    }),
  );
});
