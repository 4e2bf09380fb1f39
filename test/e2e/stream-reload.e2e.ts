/** A reload that replaces a stream while events come: its readers have them without waiting for anything else. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeDaemon, makeReceiver } from "./daemon.ts";
import { followStream } from "./stream-reader.ts";

interface Answer {
  readonly events: readonly { readonly seq: number }[];
  readonly next: number;
}

async function start(t: TestContext, yaml: string): Promise<Daemon> {
  const daemon = await makeDaemon(yaml);
  t.after(daemon.close);
  await daemon.start();
  return daemon;
}

async function post(daemon: Daemon): Promise<number> {
  const body = JSON.stringify({});
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${daemon.url}/in`, { method: "POST", headers, body });
  const { seq } = (await response.json()) as { seq: number };
  return seq;
}

async function poll(daemon: Daemon, path: string, since: number): Promise<Answer> {
  const headers = { accept: "application/json" };
  return (await (await fetch(`${daemon.url}${path}?since=${since}`, { headers })).json()) as Answer;
}

const reloads = (daemon: Daemon) => daemon.output().split("configuration reloaded").length - 1;

test("who comes to a stream after a reload has all that was accepted during it, and nothing follows", async (t) => {
  const yaml = (heartbeat: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  sse: { type: sse, path: /sse, auth: { type: none }, heartbeat: ${heartbeat} }
  ws: { type: websocket, path: /ws, auth: { type: none }, channels: [all], heartbeat: ${heartbeat} }
routes: { r: { from: in, to: [sse, ws] } }
`;
  const daemon = await start(t, yaml("1s"));
  for (let round = 0; round < 10; round++) {
    const before = await post(daemon);
    const had = reloads(daemon);
    daemon.writeConfig(yaml(round % 2 === 0 ? "2s" : "1s"));
    daemon.signal("SIGHUP");
    const accepted: number[] = [];
    while (reloads(daemon) === had) accepted.push(await post(daemon));
    for (const path of ["/sse", "/ws"]) {
      const got: number[] = [];
      let since = before;
      await waitFor(`${accepted.length} events at ${path}`, async () => {
        const { events, next } = await poll(daemon, path, since);
        since = next;
        got.push(...events.map(({ seq }) => seq));
        return got.length >= accepted.length;
      });
      assert.deepEqual(got, accepted);
    }
  }
});

test("readers of a stream that is replaced are sent to its successor at once, though a delivery hangs", async (t) => {
  const receiver = await makeReceiver();
  t.after(receiver.close);
  const hung = Promise.withResolvers<number>();
  receiver.answer = () => hung.promise;
  const yaml = (heartbeat: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: sse, path: /events, auth: { type: none }, heartbeat: ${heartbeat} }
  hook: { type: webhook, url: "${receiver.url}/hook", timeout: 60s }
routes: { r: { from: in, to: [live, hook] } }
`;
  const daemon = await start(t, yaml("1s"));
  const reader = followStream(`${daemon.url}/events`);
  t.after(() => reader.close());
  await waitFor("the reader", () => reader.connections === 1);
  await post(daemon);
  await waitFor("the attempt that hangs", () => receiver.received.length === 1);
  daemon.writeConfig(yaml("2s"));
  daemon.signal("SIGHUP");
  await waitFor("the reload", () => reloads(daemon) === 1);
  const last = await post(daemon);
  await waitFor("the event", () => reader.events.at(-1)?.id === String(last));
  assert.deepEqual([reader.events.length, reader.gaps], [2, []]);
  hung.resolve(200);
});
