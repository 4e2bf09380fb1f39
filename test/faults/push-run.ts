/** What many readers of a stream have to bear; the fault programme with thousands, `npm test` with some. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { makeDaemon } from "../e2e/daemon.ts";
import { waitFor } from "../wait-for.ts";
import { Crowd } from "./crowd.ts";
import { recordLedger } from "./ledger.ts";
import { processFigures } from "./process-figures.ts";

type Kind = "sse" | "websocket";

const yaml = (kind: Kind, fields = "") => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: ${kind}, path: /events, auth: { type: none }${fields} } }
routes: { all: { from: in, to: live } }
`;

const LONG_MS = 60_000;

/** Posts until it is stopped, `perSecond`, each again until it was answered; tells the seqs that it was promised. */
function poster(url: string, perSecond: number, bytes: number) {
  const promised = new Set<number>();
  let stopped = false;
  const pad = "x".repeat(bytes);
  const running = (async () => {
    for (let n = 0; !stopped; n++) {
      const due = performance.now() + 1000 / perSecond;
      const body = () => JSON.stringify({ n, t: performance.now(), pad });
      while (!(await post(url, body(), promised)) && !stopped) await new Promise((r) => setTimeout(r, 20));
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    }
  })();
  return {
    promised,
    async stop() {
      stopped = true;
      await running;
    },
  };
}

async function post(url: string, body: string, promised: Set<number>): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/in`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) return false;
    promised.add(((await answer.json()) as { seq: number }).seq);
    return true;
  } catch {
    return false;
  }
}

/** kill -9 again and again under load, with everybody coming back at once: 0 lost, 0 repeated by position, no gap. */
export async function storm(
  t: TestContext,
  { clients = 5000, kills = 3, kind = "sse" as Kind } = {},
): Promise<void> {
  const daemon = await makeDaemon(yaml(kind));
  await daemon.start();
  // Half of them at once within a second of the start.
  const crowd = new Crowd({
    wire: kind,
    url: () => `${daemon.url}/events`,
    count: clients,
    hurry: 0.5,
  });
  const sender = poster(daemon.url, 10, 200);
  t.after(async () => {
    await sender.stop();
    crowd.close();
    await daemon.close();
  });
  await waitFor("everybody", () => crowd.connected === clients, LONG_MS);
  const positions = () => crowd.members.every(({ lastId }) => lastId !== "");
  await waitFor("everybody to have a position", positions, LONG_MS);
  const from = Math.max(...crowd.members.map(({ lastId }) => Number(lastId)));
  let longest = 0;
  for (let kill = 0; kill < kills; kill++) {
    const had = sender.promised.size;
    await waitFor("some events", () => sender.promised.size >= had + 10, LONG_MS);
    daemon.signal("SIGKILL");
    await daemon.ended();
    const gone = performance.now();
    await daemon.start();
    await waitFor("everybody to be back", () => crowd.connected === clients, LONG_MS);
    longest = Math.max(longest, performance.now() - gone);
  }
  await sender.stop();
  const wanted = [...sender.promised].filter((seq) => seq > from);
  const last = Math.max(...wanted);
  await waitFor("the last event", () => crowd.members.every(({ got }) => got.at(-1) === last), LONG_MS);
  let lost = 0;
  for (const { got } of crowd.members) {
    const have = new Set(got);
    lost += wanted.filter((seq) => !have.has(seq)).length;
  }
  const sum = (of: "repeated" | "gaps" | "connections") =>
    crowd.members.reduce((total, member) => total + member[of], 0);
  recordLedger(t, {
    clients,
    kills,
    events: wanted.length,
    lost,
    repeated: sum("repeated"),
    gaps: sum("gaps"),
    connections: sum("connections"),
    "longest until everybody was back, ms": Math.round(longest),
  });
  assert.ok(sum("connections") >= clients * (kills + 1));
  assert.deepEqual([lost, sum("repeated"), sum("gaps")], [0, 0, 0]);
}

/** One reader in ten takes nothing: memory stays bounded, the others' p99 is as it was, and nothing is lost. */
export async function stalledTenth(
  t: TestContext,
  { readers = 2000, seconds = 20, kind = "sse" as Kind } = {},
): Promise<void> {
  const daemon = await makeDaemon(yaml(kind, ", max_delay: 10m, max_buffer: 256KiB"));
  await daemon.start();
  const url = () => `${daemon.url}/events`;
  const others = new Crowd({ wire: kind, url, count: readers * 0.9 });
  const stalled = new Crowd({ wire: kind, url, count: readers * 0.1 });
  const sender = poster(daemon.url, 10, 2000);
  t.after(async () => {
    await sender.stop();
    others.close();
    stalled.close();
    await daemon.close();
  });
  await waitFor("everybody", () => others.connected + stalled.connected === readers, LONG_MS);
  const stretch = async (ms: number) => {
    others.p99();
    const until = performance.now() + ms;
    await waitFor("a while of events", () => performance.now() >= until, ms + LONG_MS);
    return others.p99();
  };
  await stretch(2000);
  const before = await stretch((seconds * 1000) / 2);
  const memory = processFigures(daemon.pid()).residentBytes;
  for (const member of stalled.members) member.stall();
  // The kernel takes some MB of each; what it hasn't taken, the daemon keeps, or leaves in its index.
  const flood = Array.from({ length: 8 }, () => poster(daemon.url, 1000, 20_000));
  await waitFor("a flood", () => flood.every(({ promised }) => promised.size >= 50), LONG_MS);
  for (const each of flood) await each.stop();
  // What the flood itself took is nobody's stalling.
  const flooded = Math.max(...flood.flatMap(({ promised }) => [...promised]));
  const has = ({ got }: { got: readonly number[] }) => (got.at(-1) ?? 0) >= flooded;
  await waitFor("the flood to be over for the others", () => others.members.every(has), LONG_MS);
  await stretch(2000);
  const during = await stretch((seconds * 1000) / 2);
  const grown = processFigures(daemon.pid()).residentBytes - memory;
  await sender.stop();
  for (const member of stalled.members) member.goOn();
  const last = Math.max(...[sender, ...flood].flatMap(({ promised }) => [...promised]));
  const members = [...others.members, ...stalled.members];
  await waitFor("the last event", () => members.every(({ got }) => got.at(-1) === last), LONG_MS);
  const sizes = new Set(members.map(({ got }) => got.length));
  recordLedger(t, {
    readers,
    stalled: stalled.members.length,
    "p99 before, ms": Math.round(before),
    "p99 with them, ms": Math.round(during),
    "memory grown, MiB": Math.round(grown / 2 ** 20),
    events: Math.max(...sizes),
  });
  assert.equal(Math.max(0, ...members.map(({ repeated, gaps }) => repeated + gaps)), 0);
  assert.ok(grown < 192 * 2 ** 20, `grew by ${grown} bytes`);
  // The machine's own swings are larger than what a stalled reader may cost.
  assert.ok(during < before * 2 + 50, `p99 ${before} ms before, ${during} ms with them`);
}
