/** Whose messages are kept nowhere: also those of one who may publish on a channel and not read it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UNKNOWN } from "../../../src/sinks/stream/access/admission.ts";
import { type ChannelEntry, GrantBook } from "../../../src/sinks/stream/access/grants.ts";
import { ephemeralBy } from "../../../src/sinks/websocket/ephemeral.ts";
import { getJson } from "../../daemon/running.ts";
import { Endpoint } from "../access/kit.ts";
import { startLive } from "./kit.ts";
import { TOKENS, tokenOf } from "./tokens.ts";

test("what is published on another's ephemeral channel reaches who is there, and is kept nowhere", async (t) => {
  const live = await startLive(t, {
    auth: TOKENS,
    channels: '[{ name: "cur.{{ claims.sub }}", ephemeral: true }]',
    fields: 'publish: ["cur.*", "room.*"]',
  });
  const as = async (user: string) =>
    live.client({ headers: { authorization: `Bearer ${await tokenOf(user)}` } });
  const [ann, bob] = [await as("ann"), await as("bob")];
  bob.say({ type: "subscribe", channel: "cur.bob" });
  await bob.hears("subscribed");
  ann.say({ type: "publish", channel: "cur.bob", data: "passing", ref: 1 });
  assert.deepEqual(await ann.hears("ack"), { type: "ack", ref: 1, ephemeral: true });
  const event = { type: "event", channel: "cur.bob", ephemeral: true, user: "ann", data: "passing" };
  assert.deepEqual(await bob.hears("event"), event);
  ann.say({ type: "publish", channel: "room.1", data: "kept", ref: 2 });
  assert.equal(typeof (await ann.hears("ack", 2)).seq, "number");
  const { json } = await getJson(`${live.running.admin}/api/events`);
  const subjects = (json.events as { subject: string }[]).map(({ subject }) => subject);
  assert.deepEqual(subjects, ["room.1"]);
});

test("what a judge doesn't let one read stays ephemeral to it", async (t) => {
  const judge = await Endpoint.start(() => ({ body: { user: "ann", channels: ["room.1"] } }));
  t.after(() => judge.close());
  const live = await startLive(t, {
    auth: `{ type: http, url: "${judge.url}" }`,
    channels: '["room.*", { name: "cur.*", ephemeral: true }]',
    fields: 'publish: ["cur.*"]',
  });
  const client = await live.client();
  await client.hears("welcome");
  client.say({ type: "publish", channel: "cur.1", data: 1, ref: 1 });
  assert.deepEqual(await client.hears("ack"), { type: "ack", ref: 1, ephemeral: true });
});

test("the first entry that is open to who publishes decides; where none is, the first that is open to anybody", () => {
  const entries: ChannelEntry[] = [
    { name: "cur.{{ claims.sub }}", ephemeral: true },
    "note.{{ claims.sub }}",
    { name: "note.*", ephemeral: true },
    "cur.*.log",
    { name: "**.log", ephemeral: true },
    "cur.shared",
  ];
  const isEphemeral = ephemeralBy(entries);
  const admission = new GrantBook(entries, ["**"]).admission({ ...UNKNOWN, claims: { sub: "1" } }, []);
  for (const [channel, expected] of [
    ["cur.1", true],
    ["cur.2", true],
    ["cur.a/b*", true],
    ["cur.shared", false],
    ["note.1", false],
    ["note.2", true],
    ["cur.2.log", false],
    ["a.log", true],
    ["elsewhere", false],
  ] as const) {
    assert.equal(isEphemeral(admission, channel), expected, channel);
  }
  assert.equal(ephemeralBy(["cur.*"])(admission, "cur.2"), false);
});
