/** What a page keeps of its place: over page loads nothing is missing, and only what was in hand comes again. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type ConnectOptions, connect, type PlaceStorage } from "../../src/client/connect.ts";
import { waitFor } from "../wait-for.ts";
import { post, streaming } from "./client-kit.ts";
import type { Daemon } from "./daemon.ts";

const CONFIG = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: websocket, path: /ws, auth: { type: none }, channels: ["**"], heartbeat: 100ms }
  events: { type: sse, path: /events, auth: { type: none }, channels: ["**"], heartbeat: 100ms }
routes:
  each: { from: in, to: [{ sink: live, channel: "{{ body.to }}" }, { sink: events, channel: "{{ body.to }}" }] }
`;

/** One tab's `sessionStorage`. */
function shelf(): PlaceStorage & { readonly items: Map<string, string> } {
  const items = new Map<string, string>();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
  };
}

function opened(t: TestContext, daemon: Daemon, path: string, options: ConnectOptions) {
  const transport = path === "/ws" ? "websocket" : "sse";
  const connection = connect<{ n: number }>(`${daemon.url}${path}`, { transport, ...options });
  t.after(() => connection.close());
  return connection;
}

for (const path of ["/ws", "/events"]) {
  test(`what was in hand when the page was closed comes again, and what follows it: ${path}`, async (t) => {
    const daemon = await streaming(t, CONFIG);
    const options = { channels: ["x"], storage: shelf(), storageKey: "k" };
    const first = opened(t, daemon, path, options);
    const loop = first[Symbol.asyncIterator]();
    await waitFor("its beginning to be kept", () => options.storage.items.has("k"));
    const kept = options.storage.getItem("k");
    await post(daemon, { to: "x", n: 1 });
    assert.equal((await loop.next()).value?.data.n, 1);
    // The loop's body still runs while heartbeats come, which another reader of the same sink sees.
    const positions: number[] = [];
    opened(t, daemon, path, {})
      .subscribe("y")
      .on("position", (position) => positions.push(position));
    let n = 0;
    await waitFor("two heartbeats", async () => {
      await post(daemon, { to: "elsewhere", n: n++ });
      return positions.length > 3;
    });
    assert.equal(options.storage.getItem("k"), kept);
    first.close();

    await post(daemon, { to: "x", n: 2 });
    const again = opened(t, daemon, path, options);
    const seen: number[] = [];
    for await (const { data } of again) if (seen.push(data.n) === 2) break;
    assert.deepEqual(seen, [1, 2]);
  });
}

test("over page loads each of several channels has its own place, also that of which a page has taken nothing", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const options = { channels: ["a", "b"], storage: shelf(), storageKey: "k" };
  const kept = () => Object.keys(JSON.parse(options.storage.getItem("k") ?? "{}") as object).toSorted();
  const first = opened(t, daemon, "/ws", options);
  await waitFor("both beginnings to be kept", () => kept().length === 2);
  first.close();

  for (const [to, n] of [
    ["a", 2],
    ["b", 2],
    ["b", 3],
  ] as const)
    await post(daemon, { to, n });
  const second = opened(t, daemon, "/ws", options);
  const had: unknown[] = [];
  for await (const { channel, data } of second) {
    had.push([channel, data.n]);
    if (had.length === 2) second.close();
  }
  assert.equal(had.length, 2);

  const third = opened(t, daemon, "/ws", options);
  for await (const { channel, data } of third) if (had.push([channel, data.n]) >= 3) break;
  assert.deepEqual(had.toSorted(), [
    ["a", 2],
    ["b", 2],
    ["b", 3],
  ]);
  // All three were taken: what comes next is the first that a fourth page sees.
  third.close();
  await post(daemon, { to: "a", n: 4 });
  const fourth = opened(t, daemon, "/ws", options);
  assert.deepEqual((await fourth[Symbol.asyncIterator]().next()).value?.data, { to: "a", n: 4 });
});

test("a connection's key is its own channels': other subscriptions don't write over their place", async (t) => {
  const daemon = await streaming(t, CONFIG);
  for (const path of ["/ws", "/events"]) {
    const options = { channels: ["a"], storage: shelf(), storageKey: "k" };
    const connection = opened(t, daemon, path, options);
    connection.subscribe("b");
    await waitFor("both to be kept", () => options.storage.items.size === 2);
    connection.close();
    for (const [to, n] of [
      ["a", 1],
      ["b", 2],
    ] as const)
      await post(daemon, { to, n });
    const again = opened(t, daemon, path, options);
    const other = again.subscribe<{ n: number }>("b");
    assert.equal((await again[Symbol.asyncIterator]().next()).value?.data.n, 1, path);
    assert.equal((await other[Symbol.asyncIterator]().next()).value?.data.n, 2, path);
    again.close();
  }
});

test("channels that are called as the members of all objects are kept, and read, as any other", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const channels = ["constructor", "__proto__", "toString"];
  for (const path of ["/ws", "/events"]) {
    const options = { channels, storage: shelf() };
    const first = opened(t, daemon, path, options);
    await waitFor("their beginning to be kept", () => {
      const [text = "{}"] = options.storage.items.values();
      return Object.keys(JSON.parse(text) as object).length === (path === "/ws" ? channels.length : 1);
    });
    first.close();
    for (const [n, to] of channels.entries()) await post(daemon, { to, n });
    const got: number[] = [];
    for await (const { data } of opened(t, daemon, path, options)) {
      if (got.push(data.n) === channels.length) break;
    }
    assert.deepEqual(got.toSorted(), [0, 1, 2], path);
  }
});
