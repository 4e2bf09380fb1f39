import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { getJson, postJson, type Running, startForTest } from "./running.ts";

const YAML = `
sources:
  in: { type: webhook, path: /in, verify: { type: none }, id: body.id, event_type: body.kind, key: "$string(body.user)" }
  plain: { type: webhook, path: /plain, verify: { type: none } }
`;

interface Shown {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly key: string | null;
  readonly subject: string | null;
}

async function events({ admin }: Running, query = ""): Promise<Shown[]> {
  return (await getJson(`${admin}/api/events${query}`)).json.events as Shown[];
}

const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("an event's names come from the source's expressions, plain paths and JSONata alike", async (t) => {
  const running = await startForTest(t, YAML);
  await postJson(`${running.url}/in/sub/ject`, { id: 7, kind: "paid", user: 42 });
  const [event] = await events(running);
  assert.deepEqual([event?.id, event?.type, event?.key, event?.subject], ["7", "paid", "42", "sub/ject"]);
});

test("numbers too large to be told apart are no ids: both events are kept, and the log says so once", async (t) => {
  const running = await startForTest(t, YAML);
  for (const body of ['{"id":1234567890123456789}', '{"id":1234567890123456790}', '{"id":1.5}']) {
    const response = await fetch(`${running.url}/in`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    assert.deepEqual([response.status, (await response.text()).includes("duplicate")], [200, false]);
  }
  await postJson(`${running.url}/in`, { id: Number.MAX_SAFE_INTEGER });
  const ids = (await events(running, "?source=in")).map(({ id }) => id);
  assert.equal(ids.filter((id) => UUID7.test(id)).length, 3, ids.join());
  assert.ok(ids.includes("9007199254740991"));
  const told = running.logged.filter(({ msg }) => msg === "an event got no name from the expression");
  assert.equal(told.length, 1);
  assert.deepEqual([told[0]?.source, told[0]?.field], ["in", "id"]);
  assert.match(String(told[0]?.remedy), /text/);
});

test("without expressions, and where they yield nothing, the id is a new UUIDv7 and the type the source's", async (t) => {
  const running = await startForTest(t, YAML);
  await postJson(`${running.url}/plain`, { id: "not asked for" });
  await postJson(`${running.url}/in`, {});
  for (const { id, type } of await events(running)) {
    assert.match(id, UUID7);
    assert.equal(type, "webhook");
  }
});

test("a body that isn't JSON where an expression wants JSON is kept, and the log says why it has no names", async (t) => {
  const running = await startForTest(t, YAML);
  const response = await fetch(`${running.url}/in`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "cardnumber4111",
  });
  assert.equal(response.status, 200);
  const [event] = await events(running);
  assert.match(event?.id ?? "", UUID7);
  const told = running.logged.find(({ msg }) => msg === "an event got no name from the expression");
  assert.equal(told?.field, "id");
  assert.equal(told?.reason, "the body is not JSON: it doesn't parse");
  assert.match(String(told?.consequence), /retry/);
  assert.ok(!JSON.stringify(running.logged).includes("cardnumber"), "no payload in the log");
});

test("a duplicate is told its first seq; one with another body is kept as refused and told of by a leat event", async (t) => {
  const running = await startForTest(t, YAML);
  const { url, admin } = running;
  const first = await postJson(`${url}/in`, { id: "a", n: 1 });
  const again = await postJson(`${url}/in`, { id: "a", n: 1 });
  assert.equal(again.status, 200);
  assert.deepEqual([again.json.seq, again.json.duplicate], [first.json.seq, true]);
  const other = await postJson(`${url}/in`, { id: "a", n: 2 });
  assert.equal(other.status, 200);
  assert.deepEqual([other.json.duplicate, other.json.differs], [true, true]);
  await waitFor("the refusal", async () => {
    const { json } = await getJson(`${admin}/api/refusals`);
    const list = json.refusals as { reason: string; source: string; address: string }[];
    const found = list.find(({ reason, source }) => reason === "duplicate_differs" && source === "in");
    if (found !== undefined) assert.equal(found.address, "127.0.0.1");
    return found !== undefined;
  });
  await waitFor("the leat event", async () => (await events(running, "?source=leat")).length === 1);
  assert.equal((await events(running, "?source=in")).length, 1);
});

test("an id, a key or headers over their limits are refused, and the sender is told which", async (t) => {
  const running = await startForTest(t, `limits: { headers: 20, header_bytes: 4KiB }\n${YAML}`);
  const { url, admin } = running;
  const cases: readonly [body: object, headers: Record<string, string>][] = [
    [{ id: "x".repeat(513) }, {}],
    [{ id: "ä".repeat(257) }, {}],
    [{ user: "x".repeat(1025) }, {}],
    [{}, { "x-large": "x".repeat(4096) }],
    [{}, Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`x-${n}`, "1"]))],
  ];
  for (const [body, headers] of cases) {
    const { status, json } = await postJson(`${url}/in`, body, headers);
    assert.ok(status >= 400 && status < 500, `${status} ${JSON.stringify(json)}`);
  }
  const { json } = await postJson(`${url}/in`, {}, { "x-large": "x".repeat(4096) });
  assert.match(JSON.stringify(json), /The headers are over 4096 bytes\./);
  assert.equal((await postJson(`${url}/in`, { id: "x".repeat(512) })).status, 200);
  assert.deepEqual((await events(running, "?source=in")).length, 1);
  const text = await (await fetch(`${admin}/metrics`)).text();
  assert.match(text, /leat_received_total\{source="in",outcome="accepted"\} 1\n/);
});
