/** A daemon that ends, reloads or has its clock stepped while clients publish and read: what was acknowledged is there. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { connect, type Subscription } from "../../src/client/connect.ts";
import { makeFakeTime } from "../faults/faketime.ts";
import { TOKENS, tokenOf } from "../sinks/websocket/tokens.ts";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeDaemon } from "./daemon.ts";

const HOUR = 3_600_000;

const yaml = (fields: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: websocket, path: /ws, channels: ["room.*"], publish: ["room.*"], drain: 500ms, ${fields} } }
routes: { chat: { from: [live, in], to: { sink: live, channel: "{{ subject = '' ? 'room.1' : subject }}" } } }
`;

const OPEN = "auth: { type: none }, limits: { publish: 1000/s, messages: 1000/s }";

async function start(t: TestContext, fields = OPEN, env: Record<string, string> = {}): Promise<Daemon> {
  const daemon = await makeDaemon(yaml(fields), env);
  t.after(daemon.close);
  await daemon.start();
  return daemon;
}

function opened(t: TestContext, daemon: Daemon, token?: () => Promise<string>) {
  const connection = connect(`${daemon.url}/ws`, {
    transport: "websocket",
    backoff: { initial: 50, max: 200 },
    token,
  });
  t.after(() => connection.close());
  return connection;
}

/** What a subscription has had, by its data. */
function listen(room: Subscription<unknown>): unknown[] {
  const had: unknown[] = [];
  room.on("event", ({ data }) => had.push(data));
  return had;
}

const live = (room: Subscription<unknown>) => waitFor("it to be live", () => room.status === "live", 20_000);

/** Publishes one after another until it is stopped; resolves with what was acknowledged. */
function publishing(t: TestContext, daemon: Daemon) {
  const author = opened(t, daemon);
  const acked: number[] = [];
  let stopped = false;
  const running = (async () => {
    for (let n = 0; !stopped; n++) {
      await author.publish("room.1", n);
      acked.push(n);
    }
  })();
  return {
    acked,
    async stop() {
      stopped = true;
      await running;
    },
  };
}

test("over SIGTERMs no acknowledged publish is lost, none comes twice, and all are back", async (t) => {
  const daemon = await start(t);
  const room = opened(t, daemon).subscribe("room.1");
  const had = listen(room);
  await live(room);
  const authors = [publishing(t, daemon), publishing(t, daemon)];
  for (let stops = 0; stops < 2; stops++) {
    const before = had.length;
    await waitFor("some to be published", () => had.length >= before + 100, 20_000);
    daemon.signal("SIGTERM");
    assert.equal(await daemon.ended(), 0);
    await daemon.start();
  }
  await waitFor(
    "it to go on",
    () => authors.every(({ acked }) => acked.length > 0) && room.status === "live",
  );
  await Promise.all(authors.map((author) => author.stop()));
  const total = authors.reduce((sum, { acked }) => sum + acked.length, 0);
  await waitFor("all", () => had.length >= total, 20_000);
  assert.deepEqual(had.toSorted(), authors.flatMap(({ acked }) => acked).toSorted());
});

test("a reload that changes the sink sends its clients round once, and what they publish meanwhile is acknowledged", async (t) => {
  const daemon = await start(t);
  const room = opened(t, daemon).subscribe("room.1");
  const had = listen(room);
  const reasons: unknown[] = [];
  room.on("status", ({ status, reason }) => status === "waiting" && reasons.push(reason));
  await live(room);
  const author = publishing(t, daemon);
  for (const heartbeat of ["14s", "13s"]) {
    const before = had.length;
    await waitFor("some to be published", () => had.length >= before + 50, 20_000);
    const left = reasons.length;
    daemon.writeConfig(yaml(`${OPEN}, heartbeat: ${heartbeat}`));
    daemon.signal("SIGHUP");
    await waitFor("its client to be sent away", () => reasons.length > left, 20_000);
    await live(room);
  }
  await author.stop();
  await waitFor("all", () => had.length >= author.acked.length, 20_000);
  assert.deepEqual(had, author.acked);
  assert.deepEqual([...new Set(reasons)], ["restart"]);
});

test("while the clock is stepped an hour forth and back connections stay, tokens last as long as they did, and events come", async (t) => {
  const time = makeFakeTime();
  t.after(() => time.remove());
  const daemon = await start(t, `auth: ${TOKENS}, heartbeat: 500ms`, time.env);
  const connection = opened(t, daemon, () => tokenOf("ann", { expiresInS: 600 }));
  const room = connection.subscribe("room.1");
  const had = listen(room);
  const left: unknown[] = [];
  connection.on("status", ({ status, reason }) => status === "waiting" && left.push(reason));
  await live(room);
  const clock = async () => Date.parse((await fetch(`${daemon.url}/ws`)).headers.get("date") ?? "");
  for (const step of [HOUR, -HOUR, 0]) {
    time.step(step);
    await waitFor("the step", async () => Math.abs((await clock()) - Date.now() - step) < 60_000, 20_000);
    const { seq } = await connection.publish("room.1", step);
    // A heartbeat of its own, and what was published.
    await waitFor("its event", () => had.at(-1) === step && (room.position ?? 0) >= (seq ?? 0));
  }
  assert.deepEqual([had, left], [[HOUR, -HOUR, 0], []]);
});
