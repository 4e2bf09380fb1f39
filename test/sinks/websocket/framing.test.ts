/**
 * The wire below the messages (RFC 6455): by the topics that conformance suites have, framing, pings, reserved bits and
 * opcodes, fragmentation, UTF-8, closing, limits.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Live, startLive } from "./kit.ts";
import { BINARY, CLOSE, CONTINUATION, closeFrame, frame, PING, PONG, RawSocket, TEXT } from "./raw.ts";

const PING_MESSAGE = (ref: string) => JSON.stringify({ type: "ping", ref });

async function each<T>(
  t: TestContext,
  live: Live,
  cases: Iterable<readonly [string, T]>,
  body: (raw: RawSocket, one: T, what: string) => Promise<void>,
): Promise<void> {
  for (const [what, one] of cases) {
    const raw = await RawSocket.open(t, live.wsUrl);
    assert.equal(raw.status, 101);
    await raw.hears("welcome");
    await body(raw, one, what);
    raw.socket.destroy();
  }
}

/** Still there, and understood. */
async function answers(raw: RawSocket, what: string): Promise<void> {
  raw.send(frame(TEXT, PING_MESSAGE(what)));
  assert.equal((await raw.hears("pong")).ref, what);
}

test("text messages of every form of length are taken, in one piece or byte by byte", async (t) => {
  const live = await startLive(t);
  const lengths = [30, 125, 126, 127, 128, 65_535, 65_536].map((length) => [String(length), length] as const);
  await each(t, live, lengths, async (raw, length) => {
    raw.send(frame(TEXT, PING_MESSAGE("x").padEnd(length)));
    assert.equal((await raw.hears("pong")).ref, "x");
  });
  await each(t, live, [["dripped", 0]], async (raw) => {
    await raw.drip(frame(TEXT, PING_MESSAGE("dripped").padEnd(130)));
    assert.equal((await raw.hears("pong")).ref, "dripped");
  });
});

test("many messages in one segment are each taken, in order", async (t) => {
  const live = await startLive(t);
  await each(t, live, [["fifty", 50]], async (raw, count) => {
    raw.send(...Array.from({ length: count }, (_, at) => frame(TEXT, PING_MESSAGE(String(at)))));
    await raw.hears("pong", count);
    assert.deepEqual(
      raw.of("pong").map(({ ref }) => ref),
      Array.from({ length: count }, (_, at) => String(at)),
    );
  });
});

test("pings are answered with their payload, pongs that nobody asked for are not", async (t) => {
  const live = await startLive(t);
  const payloads = ["", "hello", "\0\xff\xfe", "x".repeat(125)].map(
    (text) => [`${text.length} bytes`, text] as const,
  );
  await each(t, live, payloads, async (raw, payload) => {
    raw.send(frame(PONG, "unasked"), frame(PING, payload));
    await raw.pong(payload);
  });
  await each(t, live, [["ten", 10]], async (raw, count) => {
    raw.send(...Array.from({ length: count }, (_, at) => frame(PING, `payload-${at}`)));
    for (let at = 0; at < count; at++) await raw.pong(`payload-${at}`);
    await answers(raw, "after pings");
  });
});

test("a frame that breaks the protocol closes the connection with 1002", async (t) => {
  const live = await startLive(t);
  const message = PING_MESSAGE("never");
  const cases: [string, Buffer[]][] = [
    ...[1, 2, 3, 4, 5, 6, 7].map((reserved): [string, Buffer[]] => [
      `reserved bits ${reserved}`,
      [frame(TEXT, message, { reserved })],
    ]),
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer[]] => [
      `opcode ${opcode}`,
      [frame(opcode)],
    ]),
    ["a ping with a reserved bit", [frame(PING, "", { reserved: 4 })]],
    ["a frame without a mask", [frame(TEXT, message, { masked: false })]],
    ["a ping of 126 bytes", [frame(PING, "x".repeat(126))]],
    ["a ping in fragments", [frame(PING, "a", { fin: false }), frame(CONTINUATION, "b")]],
    ["a continuation of nothing", [frame(CONTINUATION, message)]],
    ["a last continuation of nothing", [frame(CONTINUATION, message, { fin: false })]],
    ["a message within a message", [frame(TEXT, '{"type":', { fin: false }), frame(TEXT, '"ping"}')]],
    ["a continuation after the end", [frame(TEXT, message), frame(CONTINUATION, "more")]],
    ["a close frame of one byte", [frame(CLOSE, "x")]],
    ["a close frame of 126 bytes", [closeFrame(1000, "x".repeat(124))]],
    ...[0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535].map((code): [string, Buffer[]] => [
      `the close code ${code}`,
      [closeFrame(code)],
    ]),
  ];
  await each(t, live, cases, async (raw, frames, what) => {
    raw.send(...frames);
    assert.equal(await raw.closeCode(), 1002, what);
  });
});

test("fragments are one message, with control frames between them, and cut within a character", async (t) => {
  const live = await startLive(t);
  const text = Buffer.from(PING_MESSAGE("κόσμε"));
  const thirds = [text.subarray(0, 24), text.subarray(24, 25), text.subarray(25)] as const;
  await each(t, live, [["in three", thirds]], async (raw, [first, second, third]) => {
    raw.send(frame(TEXT, first, { fin: false }), frame(PING, "between"));
    await raw.pong("between");
    raw.send(frame(CONTINUATION, second, { fin: false }), frame(PONG, ""), frame(CONTINUATION, third));
    assert.equal((await raw.hears("pong")).ref, "κόσμε");
  });
  const bytes = [...text].map((byte) => Buffer.from([byte]));
  await each(t, live, [["byte by byte", bytes]], async (raw, parts) => {
    const last = parts.length - 1;
    raw.send(...parts.map((part, at) => frame(at === 0 ? TEXT : CONTINUATION, part, { fin: at === last })));
    raw.send(frame(TEXT, "", { fin: false }), frame(CONTINUATION, PING_MESSAGE("empty first")));
    await raw.hears("pong", 2);
  });
});

test("text that isn't UTF-8 closes the connection with 1007, also in a close frame's reason", async (t) => {
  const live = await startLive(t);
  const broken = [
    "c0af",
    "eda080",
    "f4908080",
    "ff",
    "e282",
    "cebae1bdb9cf83cebcceb5eda080656469746564",
    "80",
  ];
  const cases = broken.map((hex) => [hex, Buffer.from(hex, "hex")] as const);
  await each(t, live, cases, async (raw, bytes, what) => {
    raw.send(frame(TEXT, Buffer.concat([Buffer.from('"'), bytes, Buffer.from('"')])));
    assert.equal(await raw.closeCode(), 1007, what);
  });
  await each(t, live, cases, async (raw, bytes, what) => {
    raw.send(closeFrame(1000, bytes));
    assert.equal(await raw.closeCode(), 1007, what);
  });
});

test("text of every length of character is taken, up to the last one there is, and what is no character too", async (t) => {
  const live = await startLive(t);
  const points = [
    0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x10ffff,
  ];
  const cases = points.map((point) => [point.toString(16), String.fromCodePoint(point)] as const);
  await each(t, live, cases, async (raw, character) => {
    const text = Buffer.from(JSON.stringify({ type: "ping", ref: `<${character}>` }));
    raw.send(frame(TEXT, text));
    const at = text.indexOf("<") + 2;
    raw.send(frame(TEXT, text.subarray(0, at), { fin: false }), frame(CONTINUATION, text.subarray(at)));
    await raw.hears("pong", 2);
    assert.deepEqual([...new Set(raw.of("pong").map(({ ref }) => ref))], [`<${character}>`]);
  });
});

test("a message of megabytes is taken where the limit allows it, in one frame or in many, in pieces of any size", async (t) => {
  const live = await startLive(t, { fields: "limits: { message: 4MiB }" });
  const text = Buffer.from(PING_MESSAGE("large").padEnd(4 * 2 ** 20));
  const sizes = [64, 256, 1024, 4096].map((kib) => [`${kib} KiB`, kib * 1024] as const);
  await each(t, live, sizes, async (raw, size) => {
    const parts = Array.from({ length: text.length / size }, (_, n) =>
      text.subarray(n * size, (n + 1) * size),
    );
    const last = parts.length - 1;
    raw.send(...parts.map((part, n) => frame(n === 0 ? TEXT : CONTINUATION, part, { fin: n === last })));
    assert.equal((await raw.hears("pong")).ref, "large");
  });
  await each(t, live, [["cut", 997]], async (raw, size) => {
    const whole = frame(TEXT, text);
    for (let at = 0; at < whole.length; at += size) {
      if (!raw.socket.write(whole.subarray(at, at + size))) {
        await new Promise((resolve) => raw.socket.once("drain", resolve));
      }
    }
    assert.equal((await raw.hears("pong")).ref, "large");
  });
});

test("a close is answered with its code, and what comes behind it is not taken", async (t) => {
  const live = await startLive(t);
  const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
  const cases = codes.map((code) => [String(code), code] as const);
  await each(t, live, cases, async (raw, code) => {
    raw.send(closeFrame(code, "x".repeat(123)), frame(TEXT, PING_MESSAGE("too late")));
    assert.equal(await raw.closeCode(), code);
    assert.deepEqual(raw.of("pong"), []);
  });
  await each(t, live, [["without a code", 0]], async (raw) => {
    raw.send(frame(CLOSE), frame(PING, "too late"));
    assert.equal(await raw.closeCode(), 1005);
  });
});

test("a message over the limit is closed with 1009, whole, in fragments, or only announced", async (t) => {
  const live = await startLive(t, { fields: "limits: { message: 1KiB }" });
  const large = "x".repeat(1025);
  const cases: [string, Buffer[]][] = [
    ["whole", [frame(TEXT, large)]],
    ["in fragments", [frame(TEXT, large.slice(500), { fin: false }), frame(CONTINUATION, large.slice(500))]],
    ["announced", [frame(TEXT, "", { length: 2n ** 40n })]],
    ["announced beyond what is exact", [frame(TEXT, "", { length: 2n ** 62n })]],
  ];
  await each(t, live, cases, async (raw, frames, what) => {
    raw.send(...frames);
    assert.equal(await raw.closeCode(), 1009, what);
  });
  await each(t, live, [["the limit itself", 1024]], async (raw, length) => {
    raw.send(frame(TEXT, PING_MESSAGE("as large as may be").padEnd(length)));
    await raw.hears("pong");
  });
});

test("a message in too many fragments is closed, however small it is", async (t) => {
  const live = await startLive(t);
  await each(t, live, [["fragments", 2000]], async (raw, count) => {
    const parts = Array.from({ length: count }, (_, at) =>
      frame(at === 0 ? TEXT : CONTINUATION, " ", { fin: false }),
    );
    raw.send(...parts);
    assert.equal(await raw.closeCode(), 1008);
  });
});

test("bytes instead of text are closed with 1003, what isn't a message with 4001", async (t) => {
  const live = await startLive(t);
  await each(t, live, [["binary", 0]], async (raw) => {
    raw.send(frame(BINARY, PING_MESSAGE("bytes")));
    assert.equal(await raw.closeCode(), 1003);
  });
  const texts = [
    "",
    " ",
    "ping",
    "[]",
    "null",
    "1",
    '"ping"',
    "{",
    "{}",
    '{"type":1}',
    '{"type":null}',
    "\0",
    "{}{}",
  ];
  await each(
    t,
    live,
    texts.map((text) => [JSON.stringify(text), text] as const),
    async (raw, text, what) => {
      raw.send(frame(TEXT, text));
      assert.equal(await raw.closeCode(), 4001, what);
      assert.equal(raw.of("error")[0]?.code, "bad_message");
    },
  );
});

test("a message of a type that we don't know, or with wrong fields, is refused by itself", async (t) => {
  const live = await startLive(t);
  const cases: [string, object][] = [
    ["unknown_type", { type: "teleport" }],
    ["unknown_type", { type: "__proto__" }],
    ["bad_message", { type: "subscribe" }],
    ["bad_message", { type: "subscribe", channel: 1 }],
    ["bad_message", { type: "subscribe", channel: "" }],
    ["bad_message", { type: "subscribe", channel: ["a"] }],
    ["bad_message", { type: "connect" }],
    ["bad_message", { type: "refresh", token: {} }],
    ["bad_message", { type: "ping", ref: {} }],
    ["bad_message", { type: "ping", ref: "x".repeat(129) }],
    ["bad_channel", { type: "subscribe", channel: "a\r\nb" }],
    ["bad_channel", { type: "subscribe", channel: "a\0" }],
    ["bad_channel", { type: "subscribe", channel: "x".repeat(257) }],
    ["channel_not_allowed", { type: "subscribe", channel: "\uFEFFa" }],
    ["channel_not_allowed", { type: "subscribe", channel: "**" }],
    ["channel_not_allowed", { type: "subscribe", channel: "*" }],
    ["channel_not_allowed", { type: "subscribe", channel: "c" }],
  ];
  await each(
    t,
    live,
    cases.map(([code, message]) => [code, message] as const),
    async (raw, message, code) => {
      raw.say(message);
      assert.equal((await raw.hears("error")).code, code, JSON.stringify(message));
      await answers(raw, "still there");
    },
  );
});

test("a handshake that is none is answered as HTTP", async (t) => {
  const live = await startLive(t);
  const status = async (headers: Record<string, string>) =>
    (await RawSocket.open(t, live.wsUrl, headers)).status;
  assert.equal(await status({ "sec-websocket-key": "short" }), 400);
  assert.equal(await status({ "sec-websocket-key": "" }), 400);
  assert.equal(await status({ "sec-websocket-version": "12" }), 400);
  assert.equal(await status({ "sec-websocket-version": "" }), 400);
  assert.equal(await status({ "sec-websocket-protocol": "a,,b" }), 400);
  assert.equal(await status({ upgrade: "" }), 426);
  assert.equal(await status({ upgrade: "h2c" }), 426);
  const old = await RawSocket.open(t, live.wsUrl, { "sec-websocket-version": "7" });
  assert.match(old.head, /sec-websocket-version: 13/i);
  const other = await RawSocket.open(t, live.wsUrl, { "sec-websocket-protocol": "leat.v9, chat" });
  assert.equal(other.status, 101);
  assert.doesNotMatch(other.head, /sec-websocket-protocol/i);
  const mine = await RawSocket.open(t, live.wsUrl, { "sec-websocket-protocol": "chat, leat.v1" });
  assert.match(mine.head, /sec-websocket-protocol: leat\.v1/i);
});
