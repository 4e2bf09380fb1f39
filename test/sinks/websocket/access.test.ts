/** Who may come in, read and publish over a WebSocket, until when, and how a page is told that it may not. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { getJson } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";
import { type Client, type Live, startLive } from "./kit.ts";
import { RawSocket } from "./raw.ts";
import { TOKENS, tokenOf, unsigned } from "./tokens.ts";

function startOwn(t: TestContext, fields = ""): Promise<Live> {
  return startLive(t, {
    auth: TOKENS,
    channels: '["all", "user.{{ claims.sub }}", "room.*"]',
    fields: `publish: ["room.*", "from.{{ claims.sub }}"]${fields}`,
  });
}

async function connected(live: Live, token: string): Promise<Client> {
  const client = await live.client();
  client.say({ type: "connect", token });
  return client;
}

test("a token comes in a header, a cookie, or the first message; the welcome says who it is and until when", async (t) => {
  const live = await startOwn(t);
  const token = await tokenOf("ann");
  const clients = [
    await live.client({ headers: { authorization: `Bearer ${token}` } }),
    await live.client({ headers: { cookie: `other=1; session=${token}` } }),
    await connected(live, token),
  ];
  for (const client of clients) {
    const { user, expires_in_ms } = await client.hears("welcome");
    assert.equal(user, "ann");
    assert.ok(Number(expires_in_ms) > 3_500_000 && Number(expires_in_ms) <= 3_600_000);
  }
});

test("a token that isn't one is told and closed with 4003, wherever it came; one in the URL isn't looked at", async (t) => {
  const live = await startOwn(t);
  const tokens: [string, string][] = [
    ["garbage", "garbage"],
    ["unsigned", unsigned("ann")],
    ["expired", await tokenOf("ann", { expiresInS: -60 })],
    ["for another audience", await tokenOf("ann", { audience: "else" })],
    ["signed by another", await tokenOf("ann", { secret: "another secret of thirty-two bytes!!" })],
    ["of 10 KB", "x".repeat(10_240)],
  ];
  for (const [what, token] of tokens) {
    const first = await connected(live, token);
    assert.equal(await first.closed(), 4003, what);
    assert.equal(first.of("error")[0]?.code, "unauthorized", what);
    assert.equal(first.of("welcome").length, 0);
    if (token.length > 9000) continue;
    const header = await live.client({ headers: { authorization: `Bearer ${token}` } });
    assert.equal(await header.closed(), 4003, what);
  }
  const inUrl = await live.client({}, `?access_token=${await tokenOf("ann")}`);
  inUrl.say({ type: "subscribe", channel: "all", ref: 1 });
  assert.equal((await inUrl.hears("error")).code, "not_connected");
  const logged = JSON.stringify(live.running.logged);
  for (const [what, token] of tokens) if (what !== "garbage") assert.ok(!logged.includes(token), what);
});

test("before it is let in a client is told nothing, and gets nothing done", async (t) => {
  const live = await startOwn(t);
  const client = await live.client();
  client.say({ type: "subscribe", channel: "all", ref: 1 });
  client.say({ type: "publish", channel: "room.1", data: 1, ref: 2 });
  client.say({ type: "presence", channel: "room.1", ref: 3 });
  await client.hears("error", 3);
  assert.deepEqual(
    [...new Set(client.said.map(({ type, code }) => `${type} ${code}`))],
    ["error not_connected"],
  );
  client.say({ type: "connect", token: await tokenOf("ann") });
  client.say({ type: "subscribe", channel: "all", ref: 4 });
  assert.equal((await client.hears("subscribed")).ref, 4);
});

test("a channel that isn't the user's is refused, as is one by a pattern that would cover it", async (t) => {
  const live = await startOwn(t);
  const ann = await connected(live, await tokenOf("ann"));
  for (const channel of ["user.bob", "user.*", "**", "*", "user.**", "user.ann*"]) {
    ann.say({ type: "subscribe", channel, ref: channel });
    const error = await waitFor("its error", () => ann.of("error").find(({ ref }) => ref === channel));
    assert.deepEqual([error.code, error.channel], ["channel_not_allowed", channel]);
  }
  ann.say({ type: "publish", channel: "from.bob", data: 1, ref: "p" });
  const error = await waitFor("its error", () => ann.of("error").find(({ ref }) => ref === "p"));
  assert.equal(error.code, "publish_not_allowed");
  ann.say({ type: "subscribe", channel: "user.ann", ref: "own" });
  await ann.hears("subscribed");
  const star = await connected(live, await tokenOf("*"));
  star.say({ type: "subscribe", channel: "user.bob", ref: 1 });
  assert.equal((await star.hears("error")).code, "channel_not_allowed");
  await live.post("user.bob", "not for them");
  await live.post("user.ann", "for her");
  await ann.hears("event");
  assert.deepEqual([ann.numbers, star.numbers], [["for her"], []]);
});

test("what a client publishes says who it is, as the token does and not the message", async (t) => {
  const live = await startOwn(t);
  const ann = await connected(live, await tokenOf("änn"));
  ann.say({
    type: "publish",
    channel: "from.änn",
    data: 1,
    ref: 1,
    user: "bob",
    headers: { "leat-user": "bob" },
  });
  const { seq } = await ann.hears("ack");
  const { json } = await getJson(`${live.running.admin}/api/events/${seq}`);
  assert.match(
    JSON.stringify(json),
    /"leat-user":"änn"|"name":"leat-user","value":"änn"|\["leat-user","änn"\]/,
  );
  assert.doesNotMatch(JSON.stringify(json), /bob/);
});

test("a token that expires closes the connection with 4101 and a bye; renewed in place before, it goes on", async (t) => {
  const live = await startOwn(t);
  const [brief, renewed] = [
    await connected(live, await tokenOf("ann", { expiresInS: 2 })),
    await connected(live, await tokenOf("bob", { expiresInS: 2 })),
  ];
  for (const client of [brief, renewed]) await client.hears("welcome");
  renewed.say({ type: "subscribe", channel: "user.bob" });
  renewed.say({ type: "refresh", token: await tokenOf("bob", { expiresInS: 600 }), ref: 1 });
  const again = await renewed.hears("welcome", 2);
  assert.equal(again.ref, 1);
  assert.ok(Number(again.expires_in_ms) > 500_000);
  assert.equal(await brief.closed(), 4101);
  assert.equal(brief.of("bye")[0]?.reason, "expired");
  await live.post("user.bob", "still there");
  await renewed.hears("event");
  renewed.say({ type: "refresh", token: "garbage", ref: 2 });
  assert.equal((await renewed.hears("error")).ref, 2);
  renewed.say({ type: "refresh", token: await tokenOf("eve"), ref: 3 });
  assert.equal((await renewed.hears("error", 2)).code, "another_user");
  assert.equal(renewed.code, 0);
});

test("a renewed token that grants less cuts the channels that it doesn't grant, alone", async (t) => {
  const live = await startLive(t, { auth: TOKENS, channels: '["all", "team.{{ claims.teams }}"]' });
  const client = await connected(live, await tokenOf("ann", { claims: { teams: ["red", "blue"] } }));
  for (const channel of ["all", "team.red", "team.blue"]) client.say({ type: "subscribe", channel });
  await client.hears("subscribed", 3);
  client.say({ type: "refresh", token: await tokenOf("ann", { claims: { teams: ["blue"] } }) });
  assert.deepEqual(await client.hears("unsubscribed"), {
    type: "unsubscribed",
    channel: "team.red",
    code: "revoked",
  });
  for (const channel of ["team.red", "team.blue", "all"]) await live.post(channel, channel);
  await client.hears("event", 2);
  assert.deepEqual(client.numbers, ["team.blue", "all"]);
});

test("a page of a foreign origin is answered 403 before there is a WebSocket; listed ones and our own may come", async (t) => {
  const live = await startLive(t, { fields: "origins: [https://app.example.com]" });
  const { host } = new URL(live.wsUrl);
  const status = async (origin: string) => (await RawSocket.open(t, live.wsUrl, { origin })).status;
  for (const origin of [
    "https://evil.example",
    "null",
    "https://app.example.com.evil.example",
    "http://app.example.com",
    "file://",
  ]) {
    assert.equal(await status(origin), 403, origin);
  }
  for (const origin of ["https://app.example.com", `http://${host}`, `https://${host}`]) {
    assert.equal(await status(origin), 101, origin);
  }
  const refused = await RawSocket.open(t, live.wsUrl, { origin: "https://evil.example" });
  await waitFor("its end", () => refused.ended);
});

test("a name that isn't ours is answered 421 where nothing else keeps strangers out", async (t) => {
  const live = await startLive(t);
  const raw = await RawSocket.open(t, live.wsUrl, { host: "rebound.example" });
  assert.equal(raw.status, 421);
});

test("connections in all, from one address and of one user are bounded; more are told to come back", async (t) => {
  const live = await startOwn(t, ", limits: { connections: 3, per_user: 2 }");
  const [ann, second] = [
    await connected(live, await tokenOf("ann")),
    await connected(live, await tokenOf("ann")),
  ];
  for (const client of [ann, second]) await client.hears("welcome");
  const third = await connected(live, await tokenOf("ann"));
  assert.equal(await third.closed(), 1013);
  assert.equal(third.of("bye")[0]?.reason, "load");
  assert.ok(Number(third.of("bye")[0]?.retry_ms) > 5_000);
  const bob = await connected(live, await tokenOf("bob"));
  await bob.hears("welcome");
  const carl = await connected(live, await tokenOf("carl"));
  assert.equal(await carl.closed(), 1013);
  ann.close();
  await waitFor("room", async () => {
    const again = await connected(live, await tokenOf("ann"));
    await waitFor("an answer", () => again.said.length > 0);
    return again.of("welcome").length > 0;
  });

  const near = await startLive(t, { fields: "limits: { per_address: 1 }" });
  const first = await near.reader("a");
  const next = await near.client();
  assert.equal(await next.closed(), 1013);
  assert.equal(first.code, 0);
});

test("those who show nothing have places of their own, few from one address, and take nobody else's", async (t) => {
  const limits = "limits: { connections: 4, per_address: 2, trusted_proxies: 127.0.0.0/8 }";
  const live = await startOwn(t, `, ${limits}`);
  const from = (address: string, headers: Record<string, string> = {}) =>
    live.client({ headers: { "x-forwarded-for": address, ...headers } });
  const mute = [await from("192.0.2.1"), await from("192.0.2.1")];
  const third = await from("192.0.2.1");
  assert.equal(await third.closed(), 1013);
  assert.ok(Number(third.of("bye")[0]?.retry_ms) > 5_000);
  const authorization = `Bearer ${await tokenOf("ann")}`;
  const ann = await from("192.0.2.2", { authorization });
  await ann.hears("welcome");
  // Who enters leaves a place for the next.
  mute[0]?.say({ type: "connect", token: await tokenOf("bob") });
  await mute[0]?.hears("welcome");
  const fourth = await from("192.0.2.1");
  fourth.say({ type: "connect", token: await tokenOf("bob") });
  await fourth.hears("welcome");
  mute[1]?.close();
  await waitFor("its place", async () => {
    const next = await from("192.0.2.1", { authorization });
    // Two from there are in: it may come, and may not stay.
    return (await next.closed()) === 1013 && next.of("error").length === 0;
  });
});

test("those who show nothing are bounded in all, too: one more is told to come back, and finds a place once one is free", async (t) => {
  const live = await startOwn(t, ", limits: { connections: 2 }");
  const mute = [await live.client(), await live.client()];
  const third = await live.client();
  assert.equal(await third.closed(), 1013);
  assert.equal(third.of("bye")[0]?.reason, "load");
  assert.deepEqual(
    mute.map(({ code }) => code),
    [0, 0],
  );
  mute[0]?.close();
  await waitFor("its place", async () => {
    const next = await live.client();
    next.say({ type: "connect", token: await tokenOf("ann") });
    await waitFor("an answer", () => next.said.length > 0);
    return next.of("welcome").length > 0;
  });
});
