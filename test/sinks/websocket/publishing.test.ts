/** What clients publish: events of the source that bears the sink's name, acknowledged once they are on disk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { getJson } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";
import { type Live, startLive } from "./kit.ts";

const PUBLISH = 'publish: ["room.*"]';

async function kept({ running }: Live, seq: number): Promise<Record<string, unknown>> {
  const { status, json } = await getJson(`${running.admin}/api/events/${seq}`);
  assert.equal(status, 200);
  return (json.event ?? json) as Record<string, unknown>;
}

test("what is published is an event with its channel, acknowledged with its seq, and routes may send it back", async (t) => {
  const live = await startLive(t, { fields: PUBLISH });
  const [author, other] = [await live.reader("room.1"), await live.reader("room.1")];
  author.say({
    type: "publish",
    channel: "room.1",
    data: { text: "hello" },
    event: "said",
    id: "m-1",
    ref: 1,
  });
  const { seq, ...ack } = await author.hears("ack");
  assert.deepEqual(ack, { type: "ack", ref: 1, id: "m-1", duplicate: false });
  for (const client of [author, other]) {
    const event = await client.hears("event");
    assert.deepEqual(event, { type: "event", channel: "room.1", seq, data: { text: "hello" } });
  }
  const event = await kept(live, Number(seq));
  assert.deepEqual(
    [event.source, event.id, event.type, event.subject, event.key],
    ["live", "m-1", "said", "room.1", "room.1"],
  );
});

test("without an id it gets a new one, without an event's name its type is message, without a ref no ack comes", async (t) => {
  const live = await startLive(t, { fields: PUBLISH });
  const client = await live.reader("room.1");
  client.say({ type: "publish", channel: "room.1", data: null });
  client.say({ type: "publish", channel: "room.1", data: [1], ref: "r" });
  const { id, seq } = await client.hears("ack");
  assert.match(String(id), /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  assert.equal((await kept(live, Number(seq))).type, "message");
  await client.hears("event", 2);
  assert.deepEqual(client.data, [null, [1]]);
  assert.equal(client.of("ack").length, 1);
});

test("an id that comes again, as after a lost ack, is a duplicate and no second event; with other data that is said", async (t) => {
  const live = await startLive(t, { fields: PUBLISH });
  const reader = await live.reader("room.1");
  const first = await live.client();
  first.say({ type: "publish", channel: "room.1", data: 1, id: "same", ref: 1 });
  const { seq } = await first.hears("ack");
  first.close();
  const again = await live.client();
  again.say({ type: "publish", channel: "room.1", data: 1, id: "same", ref: 2 });
  assert.deepEqual(await again.hears("ack"), { type: "ack", ref: 2, seq, id: "same", duplicate: true });
  again.say({ type: "publish", channel: "room.1", data: 2, id: "same", ref: 3 });
  assert.deepEqual(await again.hears("ack", 2), {
    type: "ack",
    ref: 3,
    seq,
    id: "same",
    duplicate: true,
    differs: true,
  });
  again.say({ type: "publish", channel: "room.1", data: "end", ref: 4 });
  await reader.hears("event", 2);
  assert.deepEqual(reader.data, [1, "end"]);
});

test("numbers keep their digits on their way through", async (t) => {
  const live = await startLive(t, { fields: PUBLISH });
  const reader = await live.reader("room.1");
  let raw = "";
  reader.socket.on("message", (text: Buffer) => {
    if (text.includes("12345678901234567890")) raw = text.toString();
  });
  reader.say(
    '{"type":"publish","channel":"room.1","data":{"n":12345678901234567890,"m":1.10,"e":1e400,"s":"é"}}',
  );
  await waitFor("the event", () => raw);
  assert.match(raw, /"data":\{"n":12345678901234567890,"m":1.10,"e":1e400,"s":"é"\}/);
});

test("only what publish lists may be published, and nothing where it isn't there; the refusal is told and kept", async (t) => {
  const live = await startLive(t, { fields: PUBLISH });
  const client = await live.client();
  for (const channel of ["a", "room.1.x", "room", "*", "**"]) {
    client.say({ type: "publish", channel, data: 1, ref: channel });
    const error = await waitFor("its error", () => client.of("error").find(({ ref }) => ref === channel));
    assert.deepEqual([error.code, error.channel], ["publish_not_allowed", channel]);
  }
  const refusals = await waitFor("the refusal", async () => {
    const { json } = await getJson(`${live.running.admin}/api/refusals`);
    const list = Object.values(json).find(Array.isArray) as { source: string; reason: string }[] | undefined;
    return list?.filter(({ source }) => source === "live");
  });
  assert.deepEqual([...new Set(refusals.map(({ reason }) => reason))], ["channel"]);

  const quiet = await startLive(t);
  const mute = await quiet.client();
  mute.say({ type: "publish", channel: "a", data: 1, ref: 1 });
  assert.equal((await mute.hears("error")).code, "publish_not_allowed");
});

test("beyond its rate a publication is refused with when to try again, and the others aren't held up", async (t) => {
  const live = await startLive(t, { fields: `${PUBLISH}, limits: { publish: 5/h }` });
  const [hasty, other] = [await live.client(), await live.client()];
  for (let n = 0; n < 8; n++) hasty.say({ type: "publish", channel: "room.1", data: n, ref: n });
  await hasty.hears("error", 3);
  assert.deepEqual(
    hasty.of("error").map(({ code, ref, channel }) => [code, ref, channel]),
    [5, 6, 7].map((ref) => ["rate", ref, "room.1"]),
  );
  assert.ok(Number(hasty.of("error")[0]?.retry_ms) > 60_000);
  await hasty.hears("ack", 5);
  other.say({ type: "publish", channel: "room.1", data: "mine", ref: 1 });
  await other.hears("ack");
});

test("ids, types and data that can't be taken are refused, each by itself", async (t) => {
  const live = await startLive(t, { fields: PUBLISH, more: "limits: { event: 1KiB, id: 40B }" });
  const client = await live.client();
  const publish = { type: "publish", channel: "room.1", data: 1 };
  const bad: [string, object | string, string][] = [
    ["no data", { type: "publish", channel: "room.1" }, "bad_message"],
    ["an id that is no text", { ...publish, id: 7 }, "bad_message"],
    ["an empty id", { ...publish, id: "" }, "bad_message"],
    ["an id with a line's end", { ...publish, id: "a\nb" }, "bad_message"],
    ["a type with NUL", { ...publish, event: "a\0" }, "bad_message"],
    [
      "a lone surrogate in the id",
      `{"type":"publish","channel":"room.1","data":1,"id":"\\ud800","ref":"?"}`,
      "bad_message",
    ],
    ["a long id", { ...publish, id: "x".repeat(41) }, "id_too_long"],
    ["a long type", { ...publish, event: "x".repeat(41) }, "type_too_long"],
    ["large data", { ...publish, data: "x".repeat(1100) }, "too_large"],
    ["a channel with a line's end", { ...publish, channel: "room.\r\n" }, "bad_channel"],
    ["a channel with NUL", { ...publish, channel: "room.\0" }, "bad_channel"],
    ["a long channel", { ...publish, channel: `room.${"x".repeat(300)}` }, "bad_channel"],
    ["no channel", { type: "publish", data: 1 }, "bad_message"],
  ];
  for (const [what, message, code] of bad) {
    client.say(typeof message === "string" ? message : { ...message, ref: "?" });
    const before = client.of("error").length;
    const error = await client.hears("error", before + 1);
    assert.equal(error.code, code, what);
  }
  client.say({ ...publish, ref: "still there" });
  await client.hears("ack");
  assert.equal(client.code, 0);
});

test("a body nested more deeply than readers may bear is refused, and the connection stays", async (t) => {
  const live = await startLive(t, { fields: PUBLISH });
  const client = await live.client();
  const depth = 30_000;
  client.say(`{"type":"publish","channel":"room.1","ref":1,"data":${"[".repeat(depth)}${"]".repeat(depth)}}`);
  const answer = await waitFor("an answer", () => client.said.find(({ ref }) => ref === 1));
  assert.equal(answer.code, "bad_message");
  client.say({ type: "publish", channel: "room.1", data: { __proto__: { polluted: true } }, ref: 2 });
  await waitFor("its ack", () => client.of("ack").some(({ ref }) => ref === 2));
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test("while too much waits for the disk, each is acknowledged or told when to try again", async (t) => {
  const live = await startLive(t, { fields: PUBLISH, more: "limits: { uncommitted: 64B }" });
  const client = await live.client();
  const refs = Array.from({ length: 20 }, (_, at) => at);
  for (const ref of refs) client.say({ type: "publish", channel: "room.1", data: "x".repeat(50), ref });
  await waitFor("all answers", () => refs.every((ref) => client.said.some((said) => said.ref === ref)));
  const refused = client.of("error");
  assert.ok(refused.length > 0 && client.of("ack").length > 0);
  for (const { code, retry_ms } of refused) {
    assert.equal(code, "journal_busy");
    assert.ok(Number(retry_ms) > 0);
  }
  assert.equal(client.code, 0);
});
