/** What a WebSocket has of access beside tokens: tickets, a judge that is asked about channels, revocation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { postJson } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";
import { startLive } from "../websocket/kit.ts";
import { TOKENS, tokenOf } from "../websocket/tokens.ts";
import { bearing, Endpoint } from "./kit.ts";

test("a ticket opens one WebSocket, without a connect message, and no second one", async (t) => {
  const live = await startLive(t, { auth: TOKENS });
  const response = await fetch(`${live.running.url}/ws/ticket`, {
    method: "POST",
    headers: bearing(await tokenOf("ann")),
  });
  const { ticket } = (await response.json()) as { ticket: string };
  const client = await live.client({}, `?ticket=${ticket}`);
  assert.equal((await client.hears("welcome")).user, "ann");
  const again = await live.client({}, `?ticket=${ticket}`);
  assert.equal(await again.closed(), 4003);
  assert.equal(again.of("welcome").length, 0);
  assert.ok(!JSON.stringify(live.running.logged).includes(ticket));
});

test("a revoked channel is cut alone, and a revoked user is closed with 4003", async (t) => {
  const live = await startLive(t, { auth: TOKENS, fields: 'publish: ["room.*"]' });
  const client = await live.client({ headers: bearing(await tokenOf("ann")) });
  for (const channel of ["room.1", "room.2"]) client.say({ type: "subscribe", channel, ref: channel });
  await client.hears("subscribed", 2);
  const orders = `${live.running.admin}/api/sinks/live`;
  assert.equal((await postJson(`${orders}/revoke`, { user: "ann", channel: "room.1" })).status, 200);
  assert.equal((await client.hears("unsubscribed")).channel, "room.1");
  await live.post("room.1", 1);
  await live.post("room.2", 2);
  await waitFor("what is left", () => client.numbers.includes(2));
  assert.deepEqual(client.numbers, [2]);
  client.say({ type: "publish", channel: "room.1", data: 1, ref: "p" });
  client.say({ type: "subscribe", channel: "room.1", ref: "s" });
  await client.hears("error", 2);
  assert.deepEqual(
    client.of("error").map(({ ref }) => ref),
    ["p", "s"],
  );
  assert.equal((await postJson(`${orders}/revoke`, { user: "ann" })).status, 200);
  assert.equal(await client.closed(), 4003);
  const back = await live.client({ headers: bearing(await tokenOf("ann")) });
  assert.equal(await back.closed(), 4003);
});

test("a judge that wants to be asked about each channel says which may be joined and published to", async (t) => {
  const judge = await Endpoint.start(({ question, headers }) => {
    if (headers.authorization === undefined) return { status: 401 };
    if (question.action === "connect") return { body: { user: "ann" } };
    const [channel] = question.channels as string[];
    return { status: channel === "room.1" || question.action === "subscribe" ? 200 : 403 };
  });
  t.after(() => judge.close());
  const auth = `{ type: http, url: "${judge.url}", asks: [subscribe, publish] }`;
  const live = await startLive(t, { auth, fields: 'publish: ["room.*"]' });
  const client = await live.client();
  client.say({ type: "connect", token: "anything" });
  assert.equal((await client.hears("welcome")).user, "ann");
  client.say({ type: "subscribe", channel: "room.2", ref: 1 });
  await client.hears("subscribed");
  client.say({ type: "publish", channel: "room.2", data: 1, ref: 2 });
  assert.equal((await client.hears("error")).ref, 2);
  client.say({ type: "publish", channel: "room.1", data: 1, ref: 3 });
  assert.equal((await client.hears("ack")).ref, 3);
  assert.deepEqual(
    judge.asked.map(({ question }) => [question.action, question.channels, question.user]),
    [
      ["connect", [], null],
      ["connect", [], null],
      ["subscribe", ["room.2"], "ann"],
      ["publish", ["room.2"], "ann"],
      ["publish", ["room.1"], "ann"],
    ],
  );
});

test("a judge that doesn't answer has clients come back later", async (t) => {
  const judge = await Endpoint.start(() => ({ status: 500 }));
  t.after(() => judge.close());
  const live = await startLive(t, { auth: `{ type: http, url: "${judge.url}" }` });
  const client = await live.client({ headers: bearing("x") });
  assert.equal(await client.closed(), 1013);
  assert.ok(Number(client.of("bye")[0]?.retry_ms) > 0);
});

test("a client that is gone by the time of the judge's answer holds no place", async (t) => {
  const answers: (() => void)[] = [];
  const judge = await Endpoint.start(
    () => new Promise((resolve) => answers.push(() => resolve({ body: {} }))),
  );
  t.after(() => judge.close());
  const auth = `{ type: http, url: "${judge.url}" }`;
  const live = await startLive(t, { auth, fields: "limits: { connections: 1 }" });
  const gone = await live.client({ headers: bearing("x") });
  await waitFor("the question", () => answers.length === 1);
  gone.close();
  await gone.closed();
  await waitFor("its end", async () => (await live.running.daemon.connections()) === 0);
  answers[0]?.();
  const client = await live.client({ headers: bearing("y") });
  await waitFor("the question", () => answers.length === 2);
  answers[1]?.();
  await client.hears("welcome");
});

test("a judge that is asked about channels may take one back, alone, and isn't asked about what it couldn't grant", async (t) => {
  let taken = "";
  const judge = await Endpoint.start(({ question }) => {
    const [channel] = question.channels as string[];
    return { status: channel !== undefined && channel === taken ? 403 : 200, body: { user: "ann" } };
  });
  t.after(() => judge.close());
  const auth = `{ type: http, url: "${judge.url}", asks: [subscribe], refresh: 1s }`;
  const live = await startLive(t, { auth });
  const client = await live.client({ headers: bearing("x") });
  for (const channel of ["a", "room.*", "room.1"]) client.say({ type: "subscribe", channel, ref: channel });
  await client.hears("subscribed", 3);
  client.say({ type: "subscribe", channel: "secret", ref: "s" });
  assert.equal((await client.hears("error")).ref, "s");
  assert.ok(!judge.asked.some(({ body }) => body.includes("secret")));
  taken = "room.*";
  assert.equal((await client.hears("unsubscribed")).channel, "room.*");
  await live.post("room.2", 2);
  await live.post("room.1", 1);
  await live.post("a", 3);
  await waitFor("what is left", () => client.numbers.includes(3));
  assert.deepEqual(client.numbers, [1, 3]);
  assert.equal(client.of("unsubscribed").length, 1);
});

test("what a judge takes back is gone in whichever spelling it was joined: stars that are meant, patterns around them", async (t) => {
  let taken = false;
  const judge = await Endpoint.start(({ question }) => ({
    status: question.action === "subscribe" && taken ? 403 : 200,
    body: { user: "ann" },
  }));
  t.after(() => judge.close());
  const auth = `{ type: http, url: "${judge.url}", asks: [subscribe], refresh: 1s }`;
  const live = await startLive(t, { auth });
  const client = await live.client({ headers: bearing("x") });
  const plain = ["room.1", "room.\\*", "room.\\**", "room.\\\\", "room.*2"];
  for (const channel of plain) client.say({ type: "subscribe", channel, ref: channel });
  await client.hears("subscribed", plain.length);
  const before = judge.asked.length;
  for (const channel of ["room.\\7", "r\\oom.*", "room.***", "room.\\"]) {
    client.say({ type: "subscribe", channel, ref: channel });
  }
  await client.hears("error", 4);
  assert.deepEqual([...new Set(client.of("error").map(({ code }) => code))], ["bad_channel"]);
  assert.equal(judge.asked.length, before, "nobody is asked about another spelling");
  taken = true;
  await client.hears("unsubscribed", plain.length);
  assert.deepEqual(new Set(client.of("unsubscribed").map(({ channel }) => channel)), new Set(plain));
  for (const channel of ["room.1", "room.*", "room.*a", "room.\\", "room.2"])
    await live.post(channel, channel);
  // It stays on nothing: what it is told of next is not an event.
  client.say({ type: "ping", ref: "last" });
  await client.hears("pong");
  assert.deepEqual(client.numbers, []);
});

test("a long poll asks a judge about each channel as a subscription does", async (t) => {
  const judge = await Endpoint.start(({ question }) => {
    const [channel] = question.channels as string[];
    return { status: question.action === "subscribe" && channel === "room.2" ? 403 : 200 };
  });
  t.after(() => judge.close());
  const live = await startLive(t, { auth: `{ type: http, url: "${judge.url}", asks: [subscribe] }` });
  const seq = await live.post("room.1", 1);
  await live.post("room.2", 2);
  const polled = async (query: string) => {
    const headers = { accept: "application/json", ...bearing("x") };
    const response = await fetch(`${live.running.url}/ws?since=${seq - 1}&${query}`, { headers });
    return { status: response.status, text: await response.text() };
  };
  assert.match((await polled("channel=room.1")).text, /"n":1/);
  for (const query of ["channel=room.2", "channel=room.%5C2", "channel=room.1&channel=room.2"]) {
    const { status, text } = await polled(query);
    assert.equal(status, 403, query);
    assert.ok(!text.includes('"n"'), query);
  }
  assert.deepEqual(
    judge.asked.map(({ question }) => `${question.action} ${question.channels}`),
    [
      "connect room.1",
      "subscribe room.1",
      "connect room.2",
      "subscribe room.2",
      "connect room.2",
      "subscribe room.2",
      "connect room.1,room.2",
      "subscribe room.1",
      "subscribe room.2",
    ],
  );
  judge.answer = ({ question }) => ({ status: question.action === "subscribe" ? 500 : 200 });
  assert.equal((await polled("channel=room.1")).status, 503, "a judge that says nothing lets nobody read");
  let answer = () => {};
  judge.answer = ({ question }) =>
    question.action === "connect"
      ? { body: { user: "ann" } }
      : new Promise((resolve) => {
          answer = () => resolve({});
        });
  const late = polled("channel=room.1");
  const before = judge.asked.length;
  await waitFor("its question", () => judge.asked.length === before + 2);
  const revoked = { user: "ann", channel: "room.1" };
  assert.equal((await postJson(`${live.running.admin}/api/sinks/live/revoke`, revoked)).status, 200);
  answer();
  const { status, text } = await late;
  assert.ok(status === 503 && !text.includes('"n"'), "revoked while the judge thought");
});

test("who is on a channel is told to nobody whom a judge keeps from it", async (t) => {
  const judge = await Endpoint.start(({ question }) => {
    const [channel] = question.channels as string[];
    return { status: channel === "room.2" ? 403 : 200, body: { user: "ann" } };
  });
  t.after(() => judge.close());
  const live = await startLive(t, {
    auth: `{ type: http, url: "${judge.url}", asks: [subscribe] }`,
    channels: '[{ name: "room.*", presence: true }]',
  });
  const client = await live.client({ headers: bearing("x") });
  await client.hears("welcome");
  client.say({ type: "presence", channel: "room.2", ref: 1 });
  assert.equal((await client.hears("error")).code, "forbidden");
  client.say({ type: "presence", channel: "room.1", ref: 2 });
  assert.deepEqual((await client.hears("presence")).members, []);
  client.say({ type: "subscribe", channel: "room.1", ref: 3 });
  await client.hears("subscribed");
  const before = judge.asked.length;
  client.say({ type: "presence", channel: "room.1", ref: 4 });
  assert.deepEqual((await client.hears("presence", 2)).members, [{ user: "ann", connections: 1 }]);
  assert.equal(judge.asked.length, before, "who is there already has been asked about");
});
