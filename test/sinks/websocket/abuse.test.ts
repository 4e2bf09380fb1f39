/** What a stranger sends who wants to do harm: it costs that stranger the connection, and nobody else anything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../../wait-for.ts";
import { type Client, startLive } from "./kit.ts";
import { BINARY, CLOSE, CONTINUATION, closeFrame, frame, PING, PONG, RawSocket, TEXT } from "./raw.ts";
import { TOKENS, tokenOf } from "./tokens.ts";

/** Mulberry32: the same attack for the same seed. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const MESSAGES = [
  { type: "connect", token: "x" },
  { type: "refresh", token: "x" },
  { type: "subscribe", channel: "room.1", since: 0 },
  { type: "subscribe", channel: "room.*a*b*", since: "1" },
  { type: "unsubscribe", channel: "room.1" },
  { type: "publish", channel: "room.1", data: { __proto__: 1 }, id: "same", ref: 1 },
  { type: "publish", channel: "cursor.1", data: "\u0000\ufeff\r\n", ref: 2 },
  { type: "presence", channel: "lobby.1", ref: 3 },
  { type: "subscribe", channel: "lobby.1" },
  { type: "ping", ref: "p" },
].map((message) => JSON.stringify(message));

function attack(random: () => number): Buffer {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const opcodes = [TEXT, TEXT, TEXT, CONTINUATION, BINARY, PING, PONG, CLOSE, 3, 11];
  const frames: Buffer[] = [];
  for (let n = Math.floor(random() * 30); n >= 0; n--) {
    const text = pick(MESSAGES);
    const cut = random() < 0.2 ? text.slice(0, Math.floor(random() * text.length)) : text;
    const odd = random() < 0.1;
    const options = { fin: random() < 0.9, masked: random() < 0.98, reserved: odd ? pick([1, 2, 4]) : 0 };
    frames.push(odd ? frame(pick(opcodes), cut.slice(0, 125), options) : frame(TEXT, cut, options));
    if (random() < 0.02) frames.push(closeFrame(Math.floor(random() * 6000)));
  }
  const bytes = Buffer.concat(frames);
  // One time in three some bytes are others.
  for (let n = random() < 0.33 ? 3 : 0; n > 0; n--)
    bytes[Math.floor(random() * bytes.length)] = random() * 256;
  return bytes.subarray(0, random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length);
}

test("three hundred connections of garbage: each ends or goes on by itself, and a client among them is served", async (t) => {
  const seed = Number(process.env.LEAT_FUZZ_SEED ?? Date.now() % 2 ** 31);
  const random = chance(seed);
  const live = await startLive(t, {
    fields: 'publish: ["room.*", "cursor.*"]',
    channels: '["a", "room.*", { name: "cursor.*", ephemeral: true }, { name: "lobby.*", presence: true }]',
  });
  const client = await live.reader("a");
  for (let n = 0; n < 300; n++) {
    const raw = await RawSocket.open(t, live.wsUrl);
    assert.equal(raw.status, 101, `seed ${seed}`);
    raw.send(attack(random));
    // Not both: libuv never closes a socket that is reset while it is shut down.
    if (n % 3 === 0) raw.socket.resetAndDestroy();
    else if (n % 2 === 0) raw.socket.end();
    if (n % 50 !== 0) continue;
    await live.post("a", n);
    await waitFor(`event ${n}, seed ${seed}`, () => client.numbers.at(-1) === n);
  }
  client.say({ type: "ping", ref: "after it all" });
  await client.hears("pong");
  const errors = live.running.logged.filter(({ level }) => level === "error" || level === "fatal");
  assert.deepEqual(errors, [], `seed ${seed}`);
});

test("what comes in one segment with the handshake is taken", async (t) => {
  const live = await startLive(t);
  const raw = await RawSocket.open(
    t,
    live.wsUrl,
    {},
    frame(TEXT, JSON.stringify({ type: "ping", ref: "early" })),
  );
  assert.equal((await raw.hears("pong")).ref, "early");
});

test("line ends, NUL and marks of byte order come through in data, and are literal or refused elsewhere", async (t) => {
  const live = await startLive(t, { fields: 'publish: ["room.*"], envelope: true' });
  const reader = await live.reader("room.*");
  const data = "\ufeffa\r\nb\n\rc\0d\u2028e\ufeff";
  const ids = ["\ufeffid", "i\u2028d", "data: x"];
  for (const [n, id] of ids.entries()) {
    reader.say({ type: "publish", channel: "room.\ufeff1", data, id, event: id, ref: n });
  }
  await reader.hears("event", ids.length);
  assert.deepEqual(
    reader.of("event").map(({ channel, id, event }) => [channel, id, event]),
    ids.map((id) => ["room.\ufeff1", id, id]),
  );
  assert.deepEqual([...new Set(reader.data)], [data]);
  for (const [n, field] of ["id", "event", "channel"].entries()) {
    for (const bad of ["a\rb", "a\nb", "a\0b", "a\u0085b"]) {
      reader.say({ type: "publish", channel: "room.1", data: 1, ref: n, ...{ [field]: `room.${bad}` } });
    }
  }
  await reader.hears("error", 12);
  const codes = reader.of("error").map(({ ref, code }) => `${ref} ${code}`);
  assert.deepEqual([...new Set(codes)], ["0 bad_message", "1 bad_message", "2 bad_channel"]);
  assert.equal(reader.of("ack").length, ids.length);
});

test("a user's name with line ends in it is a value in what it publishes, and nothing more", async (t) => {
  const live = await startLive(t, {
    auth: TOKENS,
    channels: '["room.{{ claims.sub }}"]',
    fields: 'publish: ["room.{{ claims.sub }}"]',
  });
  const names = ["a\r\nset-cookie: x", "*", "**", "a.b", "{{ claims.sub }}", "\\", "\ufeff"];
  const users: [string, Client][] = [];
  for (const user of names) {
    const client = await live.client();
    client.say({ type: "connect", token: await tokenOf(user) });
    users.push([user, client]);
    await waitFor("an answer", () => client.said.length > 0);
  }
  for (const [user, client] of users) {
    for (const other of names)
      client.say({ type: "publish", channel: `room.${other}`, data: user, ref: other });
    await waitFor("all answers", () => client.said.length >= 1 + names.length || client.code !== 0);
    const done = client.of("ack").map(({ ref }) => ref);
    assert.ok(
      done.every((ref) => ref === user),
      `${JSON.stringify(user)} published on ${JSON.stringify(done)}`,
    );
  }
});
