import assert from "node:assert/strict";
import { test } from "node:test";
import { getJson, postJson, startForTest } from "../daemon/running.ts";
import { makeReceiver } from "../e2e/daemon.ts";
import { waitFor } from "../wait-for.ts";

const yamlFor = (url: string) => `
sources:
  in: { type: webhook, path: /in, verify: { type: none }, id: body.id }
  signed: { type: webhook, path: /signed, verify: { type: github, secret: a-secret } }
sinks:
  out: { type: webhook, url: "${url}", retry: { initial: 50ms, max_wait: 100ms, dead_on: [400] } }
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  all: { from: in, to: [out, live] }
  forged: { from: signed, to: out }
`;

interface Event {
  readonly seq: number;
  readonly id: string;
  readonly time: string;
}
interface Delivery {
  readonly subscription: string;
  readonly replay: number;
  readonly state: string;
  readonly attempts: readonly {
    readonly outcome: string;
    readonly status: number | null;
    readonly at: string;
  }[];
}

const deliveriesOf = async (admin: string, seq: number): Promise<Delivery[]> => {
  const { json } = await getJson(`${admin}/api/events/${seq}`);
  return json.deliveries as Delivery[];
};

test("the API shows an event, its deliveries and attempts, with times in RFC 3339 UTC", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  const { url, admin } = await startForTest(t, yamlFor(`${receiver.url}/hook`));
  const sent = await postJson(`${url}/in`, { id: "a", n: 1 }, { authorization: "Bearer the-sender's" });
  assert.equal(sent.status, 200);
  const seq = sent.json.seq as number;

  const list = (await getJson(`${admin}/api/events`)).json.events as Event[];
  assert.deepEqual(
    list.map((event) => [event.seq, event.id]),
    [[seq, "a"]],
  );
  assert.match(list[0]?.time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual((await getJson(`${admin}/api/events?id=other`)).json.events, []);
  assert.deepEqual((await getJson(`${admin}/api/events?before=${seq}`)).json.events, []);

  await waitFor("its delivery to be settled", async () => {
    const found = await deliveriesOf(admin, seq);
    return found.some(({ subscription, attempts }) => subscription === "all/out" && attempts.length === 1);
  });
  const { json } = await getJson(`${admin}/api/events/${seq}`);
  const event = json.event as Record<string, unknown>;
  assert.deepEqual(event.data, { id: "a", n: 1 });
  assert.ok(!JSON.stringify(json).includes("the-sender's"), "a sender's credential isn't shown");
  const [delivery] = (json.deliveries as Delivery[]).filter(({ subscription }) => subscription === "all/out");
  assert.equal(delivery?.attempts[0]?.outcome, "delivered");
  assert.equal(delivery?.attempts[0]?.status, 200);
  assert.match(delivery?.attempts[0]?.at ?? "", /Z$/);
});

test("a dead letter is listed, replayed to one subscription under its own id, and purged", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  receiver.answer = () => 400;
  const { url, admin } = await startForTest(t, yamlFor(`${receiver.url}/hook`));
  const sent = await postJson(`${url}/in`, { id: "poison" });
  const seq = sent.json.seq as number;
  interface Dead {
    readonly subscription: string;
    readonly error: string;
    readonly event: Event;
  }
  const dead = async () => (await getJson(`${admin}/api/dead`)).json.dead as Dead[];
  const [letter] = await waitFor("the dead letter", async () => {
    const letters = await dead();
    return letters.length > 0 && letters;
  });
  assert.equal(letter?.subscription, "all/out");
  assert.equal(letter?.event.id, "poison");
  assert.deepEqual((await getJson(`${admin}/api/dead?subscription=forged/out`)).json.dead, []);

  receiver.answer = () => 200;
  const replayed = await postJson(`${admin}/api/replay`, { seq, subscription: "all/out" });
  assert.equal(replayed.status, 200, JSON.stringify(replayed.json));
  await waitFor("the replay to arrive", () => receiver.received.length === 2);
  assert.equal(receiver.received[1]?.headers["webhook-id"], receiver.received[0]?.headers["webhook-id"]);
  await waitFor("the replay to be settled", async () => {
    const found = await deliveriesOf(admin, seq);
    return found.some(({ replay, attempts }) => replay === 1 && attempts.at(-1)?.outcome === "delivered");
  });

  const all = await postJson(`${admin}/api/replay`, { dead: true, subscription: "all/out" });
  assert.equal(all.status, 200);
  await waitFor(
    "every dead letter to arrive again",
    () => receiver.received.length >= 2 + Number(all.json.replayed),
  );

  const purged = await postJson(`${admin}/api/purge`, { subscription: "all/out", what: "dead" });
  assert.equal(purged.status, 200);
  assert.deepEqual(await dead(), []);
});

test("refusals are listed with their source and reason, and raise a leat event", async (t) => {
  const { url, admin } = await startForTest(t, yamlFor("http://127.0.0.1:9/"));
  for (let n = 0; n < 3; n++) assert.equal((await postJson(`${url}/signed`, { n })).status, 401);
  const refusals = await waitFor("the refusals", async () => {
    const { json } = await getJson(`${admin}/api/refusals`);
    const list = json.refusals as { source: string; reason: string; count: number; at: string }[];
    return list.reduce((sum, { count }) => sum + count, 0) === 3 && list;
  });
  assert.ok(refusals.every(({ source }) => source === "signed"));
  const told = await waitFor("the leat event", async () => {
    const { json } = await getJson(`${admin}/api/events?source=leat`);
    const events = json.events as { type: string; subject: string }[];
    return events.length > 0 && events;
  });
  assert.deepEqual(
    told.map(({ type, subject }) => [type, subject]),
    [["leat.refused", "signed"]],
    "one for all three: at most one a minute for each source and reason",
  );
});

test("a paused sink gets nothing until it is resumed, and is shown as degraded", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  const { url, admin } = await startForTest(t, yamlFor(`${receiver.url}/hook`));
  assert.equal((await postJson(`${admin}/api/sinks/out/pause`, { reason: "moving house" })).status, 200);
  const sent = await postJson(`${url}/in`, { id: "waits" });
  assert.equal(sent.status, 200);
  const { sinks } = (await getJson(`${admin}/api/sinks`)).json as {
    sinks: { name: string; paused: string | null }[];
  };
  assert.equal(sinks.find(({ name }) => name === "out")?.paused, "moving house");
  const ready = await getJson(`${admin}/readyz`);
  assert.equal(ready.status, 200);
  assert.deepEqual(ready.json.degraded, [{ part: "sink out", reason: "paused: moving house" }]);
  assert.equal(receiver.received.length, 0);

  assert.equal((await postJson(`${admin}/api/sinks/out/resume`, {})).status, 200);
  await waitFor("the event", () => receiver.received.length === 1);
  assert.deepEqual((await getJson(`${admin}/readyz`)).json.degraded, []);
});

test("subscriptions are listed with their accounts by route", async (t) => {
  const { admin } = await startForTest(t, yamlFor("http://127.0.0.1:9/"));
  const { json } = await getJson(`${admin}/api/subscriptions`);
  const list = json.subscriptions as { name: string; routes: { route: string; counts: object }[] }[];
  assert.deepEqual(list.map(({ name }) => name).sort(), ["all/out", "forged/out", "live"]);
  const zero = {
    accepted: 0,
    pending: 0,
    in_flight: 0,
    retrying: 0,
    filtered: 0,
    delivered: 0,
    dead: 0,
    expired: 0,
    purged: 0,
  };
  for (const { routes } of list) for (const { counts } of routes) assert.deepEqual(counts, zero);
});

test("a seq beyond all that a journal can have is an unknown event", async (t) => {
  const { admin } = await startForTest(t, yamlFor("http://127.0.0.1:9/"));
  const { status, json } = await getJson(`${admin}/api/events/9999999999999999`);
  assert.equal(status, 404);
  assert.equal((json.error as { code: string }).code, "unknown_event");
});

test("any event is replayed to any sink, whatever from says; one that match filters is in its history", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  const { url, admin } = await startForTest(
    t,
    `
sources:
  in: { type: webhook, path: /in, verify: { type: none } }
  other: { type: webhook, path: /other, verify: { type: none } }
sinks:
  out: { type: webhook, url: "${receiver.url}/hook" }
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  q: { from: other, to: [out, live] }
  picky: { from: other, match: { type: paid }, to: out }
`,
  );
  const seq = (await postJson(`${url}/in`, { n: 1 })).json.seq as number;
  for (const subscription of ["q/out", "picky/out", "live"]) {
    const { status, json } = await postJson(`${admin}/api/replay`, { seq, subscription });
    assert.equal(status, 200, JSON.stringify(json));
  }
  const found = await waitFor("both to be in its history", async () => {
    const deliveries = (await deliveriesOf(admin, seq)).filter(({ attempts }) => attempts.length > 0);
    return deliveries.length === 2 && deliveries;
  });
  const outcomes = found.map(({ subscription, replay, attempts }) => [
    subscription,
    replay,
    attempts[0]?.outcome,
  ]);
  assert.deepEqual(outcomes, [
    ["picky/out", 1, "filtered"],
    ["q/out", 1, "delivered"],
  ]);
  assert.equal(receiver.received.length, 1);
  await waitFor("the stream to have handed it out", async () => {
    const { json } = await getJson(`${admin}/api/subscriptions`);
    const list = json.subscriptions as { name: string; routes: { replays: { delivered: number } }[] }[];
    return list.find(({ name }) => name === "live")?.routes[0]?.replays.delivered === 1;
  });
});

test("a replay to a subscription whose route is gone says so", async (t) => {
  const { url, admin, daemon, writeConfig } = await startForTest(t, yamlFor("http://127.0.0.1:9/"));
  const { seq } = (await postJson(`${url}/in`, { id: "owed" })).json;
  writeConfig("sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n");
  assert.ok((await daemon.reload()).ok);
  for (const body of [{ seq }, { dead: true }]) {
    const { status, json } = await postJson(`${admin}/api/replay`, { ...body, subscription: "all/out" });
    assert.equal(status, 422);
    const { code, message } = json.error as { code: string; message: string };
    assert.equal(code, "inactive_subscription");
    assert.match(message, /all\/out is inactive: its route is gone/);
  }
});

const WRONG: readonly { what: string; path: string; body: unknown; status: number; code: string }[] = [
  {
    what: "a seq that is text",
    path: "/api/replay",
    body: { seq: "1", subscription: "all/out" },
    status: 400,
    code: "bad_request",
  },
  { what: "no subscription", path: "/api/replay", body: { seq: 1 }, status: 400, code: "bad_request" },
  {
    what: "an unknown event",
    path: "/api/replay",
    body: { seq: 1, subscription: "all/out" },
    status: 404,
    code: "unknown_event",
  },
  {
    what: "an event that is no dead letter",
    path: "/api/replay",
    body: { dead: true, seq: 1, subscription: "all/out" },
    status: 404,
    code: "unknown_dead_letter",
  },
  {
    what: "an unknown subscription",
    path: "/api/replay",
    body: { dead: true, subscription: "no/one" },
    status: 404,
    code: "unknown_subscription",
  },
  {
    what: "purging the unknown",
    path: "/api/purge",
    body: { subscription: "no/one" },
    status: 404,
    code: "unknown_subscription",
  },
  {
    what: "purging everything",
    path: "/api/purge",
    body: { subscription: "all/out", what: "all" },
    status: 400,
    code: "bad_request",
  },
  { what: "a list for a body", path: "/api/purge", body: [1], status: 400, code: "bad_request" },
  {
    what: "pausing an unknown sink",
    path: "/api/sinks/nobody/pause",
    body: {},
    status: 404,
    code: "unknown_sink",
  },
  {
    what: "a body too large",
    path: "/api/replay",
    body: { x: "x".repeat(70_000) },
    status: 413,
    code: "too_large",
  },
];

test("what can't be done is refused with a code, a message and a fitting status", async (t) => {
  const { admin } = await startForTest(t, yamlFor("http://127.0.0.1:9/"));
  for (const { what, path, body, status, code } of WRONG) {
    const answer = await postJson(admin + path, body);
    assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.json)}`);
    assert.equal((answer.json.error as { code: string }).code, code, what);
  }
  assert.equal((await getJson(`${admin}/api/events?limit=-1`)).status, 400);
  assert.equal((await getJson(`${admin}/api/events?before=x`)).status, 400);
  assert.equal((await getJson(`${admin}/api/events/1`)).status, 404);
  const malformed = await fetch(`${admin}/api/purge`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{",
  });
  assert.equal(malformed.status, 400);
});
