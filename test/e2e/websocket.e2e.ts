/** WebSockets of a daemon in a process of its own: killed and started again, behind a real nginx, and when nothing is shown. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startNginx } from "../nginx.ts";
import { Client } from "../sinks/websocket/kit.ts";
import { TOKENS } from "../sinks/websocket/tokens.ts";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeDaemon } from "./daemon.ts";

const yaml = (fields = "auth: { type: none }") => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: websocket, path: /ws, channels: [a, b, "room.*"], publish: ["room.*"], ${fields} } }
routes:
  in: { from: in, to: { sink: live, channel: "{{ body.channel }}" } }
  chat: { from: live, to: { sink: live, channel: "{{ subject }}" } }
`;

const JSON_TYPE = { "content-type": "application/json" };

async function start(t: TestContext, fields?: string): Promise<Daemon> {
  const daemon = await makeDaemon(yaml(fields));
  t.after(daemon.close);
  await daemon.start();
  return daemon;
}

function connect(t: TestContext, url: string): Client {
  const client = new Client(`${url.replace("http", "ws")}/ws`, ["leat.v1"], {});
  client.opened.catch(() => {});
  t.after(() => client.close());
  return client;
}

/** Follows two channels over any number of connections, each from where it has everything. */
class Follower {
  readonly seen: { readonly channel: string; readonly seq: number; readonly n: number }[] = [];
  readonly gaps: unknown[] = [];
  readonly #since = new Map<string, number>();
  #stopped = false;
  #client: Client | null = null;

  constructor(t: TestContext, url: string, channels: readonly string[]) {
    t.after(() => this.stop());
    void this.#follow(t, url, channels);
  }

  stop(): void {
    this.#stopped = true;
    this.#client?.close();
  }

  async #follow(t: TestContext, url: string, channels: readonly string[]): Promise<void> {
    while (!this.#stopped) {
      const client = connect(t, url);
      this.#client = client;
      client.socket.on("message", (text: Buffer) => this.#hear(JSON.parse(text.toString())));
      client.socket.on("open", () => {
        for (const channel of channels)
          client.say({ type: "subscribe", channel, since: this.#since.get(channel) });
      });
      await new Promise((resolve) => client.socket.on("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #hear(message: { type: string; channel: string; seq: number; more?: boolean; data: { n: number } }): void {
    const { type, channel, seq, more, data } = message;
    if (type === "gap") this.gaps.push(message);
    if (type === "subscribed") this.#since.set(channel, Math.max(seq, this.#since.get(channel) ?? 0));
    if (type === "position") for (const [name, at] of this.#since) this.#since.set(name, Math.max(at, seq));
    if (type !== "event") return;
    this.seen.push({ channel, seq, n: data.n });
    if (more !== true) this.#since.set(channel, seq);
  }

  get subscribed(): boolean {
    return this.#since.size > 0;
  }
}

test("over kills of the daemon no event is lost to a client, and none comes twice", async (t) => {
  const daemon = await start(t);
  const followers = Array.from({ length: 20 }, () => new Follower(t, daemon.url, ["a", "b"]));
  await waitFor("all", () => followers.every((each) => each.subscribed));
  const accepted: number[] = [];
  let n = 0;
  const post = async () => {
    const body = JSON.stringify({ channel: n % 2 === 0 ? "a" : "b", n: ++n });
    const response = await fetch(`${daemon.url}/in`, { method: "POST", headers: JSON_TYPE, body });
    if (response.ok) accepted.push(((await response.json()) as { seq: number }).seq);
  };
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 60; at++) {
      await post();
      if (at === 40) {
        void Promise.allSettled([post(), post(), post()]);
        await daemon.end();
        await daemon.start();
      }
    }
  }
  await waitFor(
    "everything",
    () => followers.every(({ seen }) => accepted.every((seq) => seen.some((event) => event.seq === seq))),
    30_000,
  );
  for (const { seen, gaps } of followers) {
    for (const channel of ["a", "b"]) {
      const seqs = seen.filter((event) => event.channel === channel).map(({ seq }) => seq);
      assert.deepEqual(
        seqs,
        [...new Set(seqs)].sort((left, right) => left - right),
      );
    }
    assert.deepEqual(gaps, []);
  }
});

test("what was acknowledged to a client survives a kill; sent again after it, the same id is a duplicate", async (t) => {
  const daemon = await start(t);
  const author = connect(t, daemon.url);
  await author.opened;
  for (let n = 0; n < 15; n++)
    author.say({ type: "publish", channel: "room.1", data: { n }, id: `m-${n}`, ref: n });
  await author.hears("ack", 5);
  await daemon.end();
  const acked = author.of("ack").map(({ id }) => id);
  await daemon.start();
  const again = connect(t, daemon.url);
  await again.opened;
  for (let n = 0; n < 15; n++)
    again.say({ type: "publish", channel: "room.1", data: { n }, id: `m-${n}`, ref: n });
  await again.hears("ack", 15);
  const duplicates = again
    .of("ack")
    .filter(({ duplicate }) => duplicate)
    .map(({ id }) => id);
  assert.deepEqual(
    acked.filter((id) => !duplicates.includes(id)),
    [],
  );
  const reader = connect(t, daemon.url);
  await reader.opened;
  reader.say({ type: "subscribe", channel: "room.1", since: Number(again.of("ack")[0]?.seq) - 1 });
  await reader.hears("event", 15);
  assert.deepEqual(
    [...reader.numbers].sort((a, b) => Number(a) - Number(b)),
    Array.from({ length: 15 }, (_, n) => n),
  );
});

test("through nginx heartbeats outlast its idle limit; without them the connection is cut", async (t) => {
  const [lively, quiet] = [
    await start(t, "auth: { type: none }, heartbeat: 500ms"),
    await start(t, "auth: { type: none }, heartbeat: 60s"),
  ];
  const location = (path: string, url: string) =>
    `location ${path} { rewrite ^ /ws break; proxy_pass ${url}; proxy_http_version 1.1; proxy_read_timeout 2s;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host:$server_port; }`;
  const nginx = await startNginx(t, (port) => {
    return `listen 127.0.0.1:${port};\n${location("/lively/ws", lively.url)}\n${location("/quiet/ws", quiet.url)}`;
  });
  const through = (name: string) => connect(t, `http://127.0.0.1:${nginx.port}/${name}`);
  const [kept, cut] = [through("lively"), through("quiet")];
  for (const client of [kept, cut]) {
    await client.opened;
    client.say({ type: "subscribe", channel: "a" });
    await client.hears("subscribed");
  }
  assert.equal(await cut.closed(), 1006);
  await kept.hears("position", 8);
  const body = JSON.stringify({ channel: "a", n: 1 });
  await fetch(`${lively.url}/in`, { method: "POST", headers: JSON_TYPE, body });
  await kept.hears("event");
  assert.equal(kept.code, 0);
  const author = through("lively");
  await author.opened;
  author.say({ type: "publish", channel: "room.1", data: 1, ref: 1 });
  await author.hears("ack");
});

test("one who shows nothing for ten seconds is closed with 4103", async (t) => {
  const daemon = await start(t, `auth: ${TOKENS}`);
  const client = connect(t, daemon.url);
  await client.opened;
  const begun = performance.now();
  assert.equal(await waitFor("its close", () => client.code, 20_000), 4103);
  assert.ok(performance.now() - begun > 9_000);
});
