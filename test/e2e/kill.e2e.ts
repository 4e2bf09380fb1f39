import assert from "node:assert/strict";
import { createHmac, randomInt, randomUUID } from "node:crypto";
import { test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { makeDaemon, makeReceiver } from "./daemon.ts";
import { followStream } from "./stream-reader.ts";

const KILLS = Number(process.env.LEAT_KILLS ?? 20);
const SECRET = "a-secret-that-both-ends-know";

/** Posts one signed webhook; true when it was answered 2xx, false when it wasn't (refused, cut, 503). */
async function post(url: string, id: string): Promise<boolean> {
  const body = JSON.stringify({ id, at: Date.now() });
  try {
    const response = await fetch(`${url}/webhooks/github`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": id,
        "x-hub-signature-256": `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
      },
      body,
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

test(`loses nothing that was answered 2xx over ${KILLS} kill -9 under load, and repeats carry the same id (J1, J4, J5)`, async (t) => {
  const receiver = await makeReceiver();
  const daemon = await makeDaemon(`
sources:
  github: { type: webhook, path: /webhooks/github, verify: { type: github, secret: ${SECRET} } }
sinks:
  out: { type: webhook, url: "${receiver.url}/hook", retry: { initial: 100ms, max_wait: 1s } }
  live: { type: sse, path: /events, auth: { type: none }, channels: [all], channel: all }
routes:
  all: { from: github, to: [out, live] }
`);
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  const reader = followStream(`${daemon.url}/events`);
  t.after(() => reader.close());

  /** The independent ledger: what a sender was told yes to. */
  const promised = new Set<string>();
  let stop = false;
  let refused = 0;
  const sender = async () => {
    while (!stop) {
      const id = randomUUID();
      if (await post(daemon.url, id)) promised.add(id);
      else {
        refused++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  };
  const senders = Array.from({ length: 16 }, sender);

  for (let kill = 0; kill < KILLS; kill++) {
    const before = promised.size;
    await waitFor("some load before the kill", () => promised.size > before + 50);
    await new Promise((resolve) => setTimeout(resolve, randomInt(150)));
    daemon.signal("SIGKILL");
    assert.equal(await daemon.ended(), "SIGKILL");
    await daemon.start();
  }
  stop = true;
  await Promise.all(senders);

  const idOf = (body: string) => (JSON.parse(body) as { id: string }).id;
  const missing = () => {
    const seen = new Set(receiver.received.map(({ body }) => idOf(body)));
    return [...promised].filter((id) => !seen.has(id));
  };
  await waitFor("every promised event at the receiver", () => missing().length === 0, 60_000);

  const webhookIds = new Map<string, Set<unknown>>();
  for (const { body, headers } of receiver.received) {
    const ids = webhookIds.get(idOf(body)) ?? new Set();
    webhookIds.set(idOf(body), ids.add(headers["webhook-id"]));
  }
  const unstable = [...webhookIds].filter(([, ids]) => ids.size !== 1);
  assert.deepEqual(unstable, [], "a repeat carries the webhook-id of the first delivery");

  await waitFor(
    "every promised event at the reader of the stream",
    () => {
      const seen = new Set(reader.events.map(({ data }) => idOf(data)));
      return [...promised].every((id) => seen.has(id));
    },
    60_000,
  );
  const seqs = reader.events.map(({ id }) => Number(id));
  assert.ok(
    seqs.every((seq, index) => index === 0 || seq > (seqs[index - 1] as number)),
    "the reader saw seqs grow, none twice",
  );
  assert.deepEqual(reader.gaps, []);

  const repeats = receiver.received.length - webhookIds.size;
  t.diagnostic(
    `ledger: ${promised.size} answered 2xx, ${refused} refused or cut, ${receiver.received.length} received, ` +
      `${repeats} repeats, 0 lost, ${KILLS} kills, ${reader.connections} connections of the stream's reader`,
  );
});
