/** The configuration of docs/websocket.md, as it stands there but for its secrets and its receiver's address. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import * as closes from "../../../src/sinks/websocket/close.ts";
import { startForTest } from "../../daemon/running.ts";
import { makeReceiver } from "../../e2e/daemon.ts";
import { waitFor } from "../../wait-for.ts";
import { Client } from "./kit.ts";
import { TOKENS, tokenOf } from "./tokens.ts";

const PAGE = readFileSync(resolve(import.meta.dirname, "../../../docs/websocket.md"), "utf8");

test("docs/websocket.md: its configuration is a chat with presence, cursors, an archive, and a sensor's channel", async (t) => {
  const receiver = await makeReceiver();
  t.after(receiver.close);
  const secret = /secret: "([^"]+)"/.exec(TOKENS)?.[1] ?? "";
  const yaml = (/```yaml\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? "")
    .replace(`\${JWT_SECRET}`, secret)
    .replace(`\${SENSOR_TOKEN}`, "sensor")
    .replace("https://archive.example.com", receiver.url);
  const running = await startForTest(t, yaml);
  const open = async (user: string) => {
    const headers = { authorization: `Bearer ${await tokenOf(user)}` };
    const client = new Client(`${running.url.replace("http", "ws")}/ws`, ["leat.v1"], { headers });
    t.after(() => client.close());
    await client.opened;
    for (const channel of ["sensors", `user.${user}`, "room.1", "cursor.1"])
      client.say({ type: "subscribe", channel });
    await client.hears("subscribed", 4);
    return client;
  };
  const [ann, bob] = [await open("ann"), await open("bob")];
  await ann.hears("join");
  ann.say({ type: "publish", channel: "cursor.1", data: { x: 1 } });
  ann.say({ type: "publish", channel: "room.1", data: { text: "hello" }, ref: 1 });
  await ann.hears("ack");
  await bob.hears("event", 2);
  assert.deepEqual(bob.data, [{ x: 1 }, { text: "hello" }]);
  await waitFor("the archive", () => receiver.received.length === 1);
  const headers = { authorization: "Bearer sensor" };
  await fetch(`${running.url}/in`, { method: "POST", headers, body: "21.5" });
  await bob.hears("event", 3);
  assert.equal(bob.data[2], 21.5);
});

test("docs/websocket.md lists every code with which we close, and its reason", () => {
  const listed = new Map(
    [...PAGE.matchAll(/^\| (\d{4}) \| (?:`(\w+)`)? ?\|/gm)].map(([, code, why]) => [Number(code), why]),
  );
  for (const [name, value] of Object.entries(closes)) {
    if (typeof value === "number") continue;
    assert.equal(listed.get(value.code), value.reason, name);
  }
});
