/** What a WebSocket's clients say, and what they are told. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { StreamFrame } from "../../src/component.ts";
import { deflatedFrame, textFrame } from "../../src/sinks/websocket/frame.ts";
import { ephemeral, error, event, gap } from "../../src/sinks/websocket/messages.ts";
import { parseMessage } from "../../src/sinks/websocket/parse.ts";
import { property } from "./property.ts";
import { anyText, longText, soup } from "./texts.ts";

const BOUNDS = { channelBytes: 256 };
const TYPES = [
  "connect",
  "refresh",
  "subscribe",
  "unsubscribe",
  "publish",
  "presence",
  "ping",
  "__proto__",
  "",
];
const WORDS = [
  '{"type":',
  '"publish"',
  '"subscribe"',
  '"channel":',
  '"data":',
  '"since":',
  '"ref":',
  "[",
  "]",
  "{",
  "}",
  ",",
  "1e999",
  "-0",
  "12345678901234567890",
  '"\\ud800"',
  "null",
  '"id":',
];

const any = fc.oneof(anyText, fc.jsonValue(), fc.double(), fc.nat());
const message = fc.record(
  {
    type: fc.constantFrom(...TYPES),
    channel: fc.oneof(fc.constantFrom("a", "room.1", "*"), any),
    since: any,
    ref: any,
    data: fc.jsonValue({ maxDepth: 6 }),
    id: any,
    event: any,
    token: any,
  },
  { requiredKeys: [] },
);

const frame: fc.Arbitrary<StreamFrame> = fc.record({
  channel: anyText,
  type: anyText,
  id: anyText,
  time: fc.nat(4e12),
  body: fc.oneof(
    fc.oneof(anyText, longText, fc.json()).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  ),
});

/** The payload of one frame, by its header alone. */
function payloadOf(framed: Buffer): string {
  const short = (framed[1] as number) & 0x7f;
  const at = short < 126 ? 2 : short === 126 ? 4 : 10;
  const length =
    short < 126 ? short : short === 126 ? framed.readUInt16BE(2) : Number(framed.readBigUInt64BE(2));
  assert.equal(framed.length, at + length);
  return framed.subarray(at).toString();
}

export const websocket = [
  property(
    "a client's text is a message or told what is wrong with it",
    fc.oneof(anyText, longText, soup(WORDS)),
    (text, within) => {
      const parsed = within(() => parseMessage(text, BOUNDS));
      if (parsed.type === "bad") assert.ok(parsed.code !== "" && parsed.message !== "");
    },
  ),

  property(
    "a message holds only what its type says, within its bounds, and data comes through as it was",
    message,
    (said, within) => {
      const text = JSON.stringify(said);
      const parsed = within(() => parseMessage(text, BOUNDS));
      if (parsed.type === "bad") return;
      assert.equal(parsed.type, said.type);
      if ("channel" in parsed) {
        assert.ok(Buffer.byteLength(parsed.channel) <= 256 && !/\p{Cc}/u.test(parsed.channel));
      }
      if (parsed.type === "publish") assert.deepEqual(JSON.parse(parsed.data), JSON.parse(text).data);
      if (parsed.type === "subscribe") {
        const { since } = parsed;
        assert.ok(
          since === null ||
            (typeof since === "number" ? Number.isSafeInteger(since) && since >= 0 : since.length <= 64),
        );
      }
    },
  ),

  property(
    "whatever an event holds, a client is sent one JSON object with it",
    fc.tuple(fc.nat(2 ** 53 - 1), frame, fc.boolean()),
    ([seq, each, envelope], within) => {
      const framed = within(() => textFrame(event(seq, each, envelope, false)));
      const told = JSON.parse(payloadOf(framed)) as Record<string, unknown>;
      assert.equal(told.type, "event");
      assert.equal(told.seq, seq);
      assert.equal(told.channel, each.channel);
      assert.equal("data" in told, !("data_base64" in told));
      if ("data_base64" in told) {
        assert.deepEqual(Buffer.from(String(told.data_base64), "base64"), Buffer.from(each.body));
      }
    },
  ),

  property(
    "whatever a client said, what others are told of it is JSON",
    fc.tuple(anyText, fc.jsonValue(), anyText),
    ([channel, data, user], within) => {
      const told = within(
        () => JSON.parse(ephemeral(channel, JSON.stringify(data), user, user)) as Record<string, unknown>,
      );
      assert.deepEqual([told.channel, told.user, told.ephemeral], [channel, user, true]);
      assert.equal(JSON.parse(error({ code: "x", message: "y", ref: channel })).ref, channel);
      assert.equal(JSON.parse(gap({ asked: channel, oldest: 1, newest: 2 })).asked, channel);
      within(() => deflatedFrame(channel));
    },
  ),
];
