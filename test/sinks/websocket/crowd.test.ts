/** What goes round the journal: ephemeral messages, and who is on a channel. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../src/ports.ts";
import { Presence } from "../../../src/sinks/websocket/presence.ts";
import { getJson } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";
import { type Client, type Live, startLive } from "./kit.ts";
import { TOKENS, tokenOf } from "./tokens.ts";

function startRooms(t: TestContext, auth = "{ type: none }"): Promise<Live> {
  return startLive(t, {
    auth,
    fields: 'publish: ["room.*", "cursor.*"], presence_grace: 1s',
    channels: '["room.*", { name: "cursor.*", ephemeral: true }, { name: "lobby.*", presence: true }]',
  });
}

test("an ephemeral message goes to the others who are there, at once, and is kept nowhere", async (t) => {
  const live = await startRooms(t);
  const [author, other, patterned] = [
    await live.reader("cursor.1"),
    await live.reader("cursor.1"),
    await live.reader("cursor.*"),
  ];
  const outsider = await live.reader("cursor.2");
  author.say({ type: "publish", channel: "cursor.1", data: { x: 1, y: 2.5 }, event: "moved", ref: 1 });
  assert.deepEqual(await author.hears("ack"), { type: "ack", ref: 1, ephemeral: true });
  for (const client of [other, patterned]) {
    assert.deepEqual(await client.hears("event"), {
      type: "event",
      channel: "cursor.1",
      ephemeral: true,
      user: null,
      event: "moved",
      data: { x: 1, y: 2.5 },
    });
  }
  const late = await live.client();
  late.say({ type: "subscribe", channel: "cursor.1", since: 0 });
  await late.hears("subscribed");
  outsider.say({ type: "publish", channel: "room.1", data: "durable", ref: 1 });
  await outsider.hears("ack");
  assert.deepEqual([author.data, outsider.data, late.data], [[], [], []]);
  const { json } = await getJson(`${live.running.admin}/api/events`);
  assert.equal(JSON.stringify(json).includes("moved"), false);
});

test("what a route sends to an ephemeral channel is kept like anything that a route sends", async (t) => {
  const live = await startRooms(t);
  const seq = await live.post("cursor.1", "kept");
  const client = await live.client();
  client.say({ type: "subscribe", channel: "cursor.1", since: seq - 1 });
  assert.equal((await client.hears("event")).seq, seq);
});

const names = (client: Client, type: string) => client.of(type).map(({ channel, user }) => [channel, user]);

test("members hear who joins and leaves, once for all connections of a user; one who is soon back never left", async (t) => {
  const live = await startRooms(t, TOKENS);
  const as = async (user: string) => {
    const client = await live.client({ headers: { authorization: `Bearer ${await tokenOf(user)}` } });
    client.say({ type: "subscribe", channel: "lobby.1", ref: user });
    await client.hears("subscribed");
    return client;
  };
  const ann = await as("ann");
  const bob = await as("bob");
  await ann.hears("join");
  const secondBob = await as("bob");
  ann.say({ type: "presence", channel: "lobby.1", ref: 5 });
  assert.deepEqual(await ann.hears("presence"), {
    type: "presence",
    channel: "lobby.1",
    ref: 5,
    members: [
      { user: "ann", connections: 1 },
      { user: "bob", connections: 2 },
    ],
  });
  // Both connections are lost, and one is back within the grace.
  bob.close();
  secondBob.close();
  await waitFor("them to be gone", async () => {
    ann.say({ type: "presence", channel: "lobby.1" });
    const { members } = ann.of("presence").at(-1) as unknown as { members: { connections: number }[] };
    return members.at(-1)?.connections === 1;
  });
  const thirdBob = await as("bob");
  const carl = await as("carl");
  await ann.hears("join", 2);
  thirdBob.say({ type: "unsubscribe", channel: "lobby.1" });
  await ann.hears("leave");
  assert.deepEqual(names(ann, "join"), [
    ["lobby.1", "bob"],
    ["lobby.1", "carl"],
  ]);
  assert.deepEqual(names(ann, "leave"), [["lobby.1", "bob"]]);
  assert.deepEqual(names(carl, "join"), []);
  const { json } = await getJson(`${live.running.admin}/api/events`);
  assert.equal(JSON.stringify(json).includes("lobby.1"), false);
});

test("presence is told where the channel has it, and to those who may join it", async (t) => {
  const live = await startRooms(t);
  const client = await live.reader("lobby.1");
  client.say({ type: "presence", channel: "room.1", ref: 1 });
  assert.equal((await client.hears("error")).code, "no_presence");
  client.say({ type: "presence", channel: "elsewhere", ref: 2 });
  assert.equal((await client.hears("error", 2)).code, "channel_not_allowed");
  client.say({ type: "presence", channel: "lobby.1", ref: 3 });
  const { members } = await client.hears("presence");
  assert.deepEqual(members, [{ user: null, connections: 1 }]);
});

test("who subscribes to one channel by other spellings is on it once, and gone when it leaves", async (t) => {
  const live = await startRooms(t, TOKENS);
  const client = await live.client({ headers: { authorization: `Bearer ${await tokenOf("ann")}` } });
  for (const channel of ["lobby.x", "lobby.\\x", "l\\obby.x", "lobby.x\\"]) {
    client.say({ type: "subscribe", channel, ref: channel });
  }
  await client.hears("error", 3);
  assert.deepEqual([...new Set(client.of("error").map(({ code }) => code))], ["bad_channel"]);
  client.say({ type: "subscribe", channel: "lobby.\\*\\\\", ref: "a star and a backslash" });
  await client.hears("subscribed", 2);
  const ask = async (channel: string) => {
    client.say({ type: "presence", channel, ref: client.said.length });
    return (await client.hears("presence", client.of("presence").length + 1)).members;
  };
  const alone = [{ user: "ann", connections: 1 }];
  assert.deepEqual(await ask("lobby.x"), alone);
  assert.deepEqual(await ask("lobby.\\*\\\\"), alone);
  for (const channel of ["lobby.x", "lobby.\\*\\\\"]) client.say({ type: "unsubscribe", channel });
  await waitFor("it to be gone", async () => (await ask("lobby.x"))?.toString() === "");
  assert.deepEqual(await ask("lobby.\\*\\\\"), []);
});

test("who comes, goes and comes again in one breath is there once, from where it asked last, and leaves no ghost", async (t) => {
  const live = await startRooms(t, TOKENS);
  const as = async (user: string) =>
    live.client({ headers: { authorization: `Bearer ${await tokenOf(user)}` } });
  const [hasty, watcher] = [await as("ann"), await as("bob")];
  const seqs = [await live.post("lobby.1", 1), await live.post("lobby.1", 2), await live.post("lobby.1", 3)];
  for (const since of [seqs[0], seqs[1], seqs[1]]) {
    hasty.say({ type: "subscribe", channel: "lobby.1", since, ref: since });
    hasty.say({ type: "unsubscribe", channel: "lobby.1" });
  }
  hasty.say({ type: "subscribe", channel: "lobby.1", since: seqs[1], ref: "last" });
  hasty.say({ type: "subscribe", channel: "lobby.2" });
  await hasty.hears("subscribed", 2);
  assert.deepEqual(
    hasty
      .of("subscribed")
      .map(({ channel, ref }) => [channel, ref])
      .toSorted(),
    [
      ["lobby.1", "last"],
      ["lobby.2", undefined],
    ],
  );
  await live.post("lobby.1", 4);
  await hasty.hears("event", 2);
  assert.deepEqual(hasty.numbers, [3, 4]);
  const members = async () => {
    watcher.say({ type: "presence", channel: "lobby.1", ref: 1 });
    return (await watcher.hears("presence", watcher.of("presence").length + 1)).members;
  };
  assert.deepEqual(await members(), [{ user: "ann", connections: 1 }]);
  hasty.close();
  await waitFor("it to be gone", async () => (await members())?.toString() === "");
});

test("of a large crowd a thousand are listed and the others counted, and joins and leaves are told up to two hundred", () => {
  const clock = systemClock;
  const told: string[] = [];
  const presence = new Presence({
    clock,
    graceMs: 10_000,
    onJoin: (_channel, user) => told.push(user),
    onLeave: () => {},
  });
  for (let n = 0; n < 1500; n++) presence.enter("a", `user-${n}`);
  const { members, more } = presence.on("a");
  assert.deepEqual([members.length, more, told.length, presence.size], [1000, 500, 200, 1500]);
  presence.stop();
  assert.deepEqual([presence.on("a"), presence.size], [{ members: [], more: 0 }, 0]);
});
