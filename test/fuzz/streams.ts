/** What a stream's readers ask for, and what they are sent. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { StreamFrame } from "../../src/component.ts";
import { hostName, isOwnName } from "../../src/http/host.ts";
import { decodePath, pathOf, queryOf } from "../../src/http/target.ts";
import {
  encodeBye,
  encodeGap,
  encodeGroup,
  encodeHeartbeat,
  encodeHello,
  eventName,
} from "../../src/sinks/sse/frame.ts";
import { parseWait } from "../../src/sinks/sse/poll.ts";
import { compileSelection, selectChannels } from "../../src/sinks/stream/channels.ts";
import { askedPosition, resolvePosition } from "../../src/sinks/stream/position.ts";
import { SseParser } from "../sinks/sse-parser.ts";
import { openTo } from "../sinks/stream-kit.ts";
import { property } from "./property.ts";
import { anyText, longText, soup } from "./texts.ts";

const seq = fc.nat(2 ** 53 - 1);
const body = fc.oneof(anyText, longText).map((text) => Buffer.from(text));
const frame: fc.Arbitrary<StreamFrame> = fc.record({
  channel: anyText,
  type: fc.oneof(anyText, fc.constantFrom("gap", "bye", "error", "message")),
  id: anyText,
  time: fc.nat(4e12),
  body: fc.oneof(
    body,
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  ),
});
const group = fc.record({
  seq: fc.integer({ min: 1, max: 2 ** 53 - 1 }),
  frames: fc.array(frame, { minLength: 1, maxLength: 4 }),
});

/** A reader gets bytes in whatever pieces the network makes of them. */
function parse(bytes: Uint8Array, cuts: readonly number[]): SseParser {
  const parser = new SseParser();
  let from = 0;
  for (const cut of cuts.map((at) => at % (bytes.length + 1)).toSorted((a, b) => a - b)) {
    parser.push(bytes.subarray(from, cut));
    from = cut;
  }
  parser.push(bytes.subarray(from));
  parser.end();
  return parser;
}

const TARGET = [
  "/",
  "//",
  "..",
  "?",
  "#",
  "&",
  "=",
  "%",
  "%2f",
  "%00",
  "%e9",
  "%c3%a9",
  ";",
  "http://h",
  "https:",
  "*",
  "channel",
  "since",
  "a",
  "+",
  "wait=",
  "last_event_id=",
];
const query = fc.oneof(soup(TARGET), longText);
const patterns = soup(["*", "**", "a", ".", "/", "user", "42", "\\"], 5);
const known = fc
  .tuple(seq, seq, seq)
  .map((three) => three.toSorted((a, b) => a - b))
  .map(([oldest = 0, newest = 0, committed = 0]) => ({ oldest, newest, committed }));

export const streams = [
  property(
    "what an encoder writes, a reader by the letter of the specification reads",
    fc.tuple(
      fc.array(group, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      fc.array(fc.nat(), { maxLength: 6 }),
    ),
    ([groups, event, envelope, cuts], within) => {
      const written = within(() =>
        Buffer.concat(groups.map((one) => encodeGroup({ event, envelope }, one.seq, one.frames))),
      );
      const parser = parse(written, cuts);
      const sent = groups.flatMap(({ frames }) => frames);
      const last = groups.at(-1);
      assert.equal(parser.lastEventId, String(last?.seq));
      assert.equal(parser.retry, null);
      assert.equal(parser.comments, 0);
      assert.deepEqual(
        parser.events.map(({ type }) => type),
        sent.map(({ type }) => (event ? (eventName(type)?.toWellFormed() ?? "message") : "message")),
      );
      for (const [at, { data }] of parser.events.entries()) {
        const frame = sent[at] as StreamFrame;
        if (envelope) {
          const read = JSON.parse(data) as Record<string, unknown>;
          assert.deepEqual([read.channel, read.id, read.type], [frame.channel, frame.id, frame.type]);
          continue;
        }
        const text = Buffer.from(frame.body).toString("utf8");
        const meant = Buffer.from(text).equals(Buffer.from(frame.body))
          ? text
          : Buffer.from(frame.body).toString("base64");
        // A reader sees every kind of line's end as one.
        assert.equal(data, meant.replace(/\r\n|\r/g, "\n"));
      }
    },
  ),

  property(
    "what isn't an event moves the reader's position and nothing else",
    fc.tuple(seq, fc.nat(60_000), fc.oneof(seq, anyText), fc.array(fc.nat(), { maxLength: 4 })),
    ([position, retryMs, asked, cuts]) => {
      const gap = { asked, oldest: position, newest: position + 1 };
      const bytes = Buffer.concat([
        encodeHello(position, retryMs),
        encodeHeartbeat(position),
        encodeGap(gap, position),
        encodeBye("restart", retryMs, position),
      ]);
      const parser = parse(bytes, cuts);
      assert.deepEqual(
        parser.events.map(({ type }) => type),
        ["gap", "bye"],
      );
      assert.deepEqual(JSON.parse(parser.events[0]?.data ?? ""), JSON.parse(JSON.stringify(gap)));
      assert.equal(parser.lastEventId, position > 0 ? String(position) : "");
      assert.equal(parser.retry, retryMs);
    },
  ),

  property(
    "a position that was sent is asked for, and any other text is told back",
    fc.tuple(seq, longText, query),
    ([position, text, target], within) => {
      assert.equal(askedPosition(String(position), new URLSearchParams()), position);
      const asked = within(() => askedPosition(text, new URLSearchParams(queryOf(target))));
      if (typeof asked === "number") assert.ok(Number.isSafeInteger(asked) && asked >= 0);
      if (typeof asked === "string") assert.ok(asked.length <= 64);
    },
  ),

  property(
    "a reader goes on from where it was, or hears of a gap",
    fc.tuple(fc.oneof(seq, anyText), known),
    ([asked, bounds]) => {
      const { position, gap } = resolvePosition(asked, bounds);
      if (gap === null) assert.equal(position, asked);
      else assert.ok(position >= bounds.oldest && position <= bounds.newest);
    },
  ),

  property(
    "channels are allowed or not, and those allowed are covered",
    fc.tuple(
      fc.array(patterns, { maxLength: 4 }),
      fc.array(fc.oneof(patterns, longText), { maxLength: 4 }),
      patterns,
    ),
    ([entries, asked, channel], within) => {
      const selected = within(() => selectChannels(openTo(entries), asked));
      if (!selected.allowed) {
        assert.ok([400, 403].includes(selected.status));
        return;
      }
      const wants = within(() => compileSelection(selected.selection));
      const open = compileSelection({ exact: [], patterns: entries });
      if (within(() => wants(channel))) assert.ok(open(channel), "a reader gets what no entry is open for");
    },
  ),

  property("a wait is a duration of at most 25 s, or none", query, (target, within) => {
    const wait = within(() => parseWait(new URLSearchParams(queryOf(target))));
    assert.ok(wait === null || (wait >= 0 && wait <= 25_000));
  }),

  property(
    "a target has a path, or none, and what is decoded of it holds nothing hidden",
    query,
    (target, within) => {
      const path = within(() => pathOf(target));
      if (path === null) return;
      assert.ok(path.startsWith("/") && !path.includes("?") && !path.includes("#"));
      const decoded = within(() => decodePath(path.slice(1)));
      if (decoded !== null) assert.ok(!/[\0\r\n]/.test(decoded));
    },
  ),

  property("a path that was encoded is decoded to what it was", anyText, (text) => {
    const well = text.toWellFormed();
    const decoded = decodePath(encodeURIComponent(well));
    assert.equal(decoded, /\p{Cc}/u.test(well) ? null : well);
  }),

  property(
    "a Host has a name; a foreign one is none of our own",
    fc.oneof(longText, soup(["localhost", "127.0.0.1", "[::1]", ":", "8080", ".", "evil.com", "@", " "], 5)),
    (host, within) => {
      const name = within(() => hostName(host));
      if (within(() => isOwnName(name))) assert.ok(!name.endsWith("evil.com") && !/[@ ]/.test(name));
    },
  ),
];
