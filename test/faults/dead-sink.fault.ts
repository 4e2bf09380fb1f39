/**
 * J6: one sink is gone for good, beside one that lives, in a journal with a bound; five times as much comes in. Senders and
 * the living sink don't notice, the dead one's oldest events expire, the disk holds, and the person is told.
 */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { freePort, makeDaemon } from "../e2e/daemon.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { makeLanding, missing } from "./landing.ts";
import { recordLedger } from "./ledger.ts";
import { quantileBetween, startTraffic, tally } from "./traffic.ts";

const MIB = 1024 * 1024;
/** The journal's bound, in MiB; a smaller one, and fewer events a second, for a look on a slow or busy machine. */
const BOUND = Number(process.env.LEAT_BOUND_MIB ?? 1024) * MIB;
const PER_SECOND = Number(process.env.LEAT_PER_SECOND ?? 40);
const BYTES = MIB / 2;
/** So much with both alive that retention is at work in both halves that are compared. */
const FULL = 1.1 * BOUND;
const BEFORE = 1.6 * BOUND;
const AFTER = 5 * BOUND;
/**
 * Accepts and the living sink's deliveries go on unharmed. Events that expire are written as such, page by page of what
 * retention takes anyway: some work more, so twice as long at most. And what no clock tells apart here: a commit of half a
 * MiB takes the disk some 10 ms, more or less by what else it writes.
 */
const P99_TIMES = 2;
const GRAIN_MS = 10;
/** What docs/operating.md says that the folder takes beyond `retention.size`. */
const SPARE_SHARE = 1 / 3;
const FIXED = 256 * MIB;

test(`a dead sink beside a live one in a journal of ${BOUND / MIB} MiB`, {
  timeout: 1_200_000,
}, async (t) => {
  const live = await makeLanding();
  const dying = await makeLanding(await freePort());
  const daemon = await makeDaemon(`
retention: { age: 7d, size: "${BOUND / MIB}MiB" }
sources:
  in: { type: webhook, path: /in, verify: { type: none }, id: headers.x-id }
sinks:
  live: { type: webhook, url: "${live.url}/" }
  gone: { type: webhook, url: "${dying.url}/" }
routes:
  all: { from: in, to: [live, gone] }
`);
  t.after(async () => {
    await daemon.close();
    await Promise.all([live.close(), dying.close()]);
  });
  await daemon.start();
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  const traffic = startTraffic({ url: `${daemon.url}/in`, perSecond: PER_SECOND, keys: 40, bytes: BYTES });
  t.after(() => traffic.stop());
  /** Until so much has come since the start. */
  const came = (bytes: number) => {
    const due = (bytes / (BYTES * PER_SECOND)) * 1000;
    const condition = () => traffic.promised.size * BYTES >= bytes;
    return waitFor(`${Math.round(bytes / MIB)} MiB to come in`, condition, due * 2 + 30_000);
  };
  const data = join(daemon.folder, "data");
  let [mostDisk, mostMemory] = [0, 0];
  const measure = async () => {
    mostDisk = Math.max(mostDisk, folderBytes(data));
    const { samples } = await scrapeMetrics(daemon.admin);
    const memory = samples.find(({ name }) => name === "leat_resident_memory_bytes")?.value ?? 0;
    mostMemory = Math.max(mostMemory, memory);
    return samples;
  };
  const measuring = setInterval(() => void measure(), 1000);
  t.after(() => clearInterval(measuring));

  await came(FULL);
  const begun = performance.now();
  await came(BEFORE);
  const death = performance.now();
  await dying.close();
  await came(BEFORE + AFTER);
  const end = performance.now();
  await traffic.stop();
  const settled = (sink: string, outcome: string) =>
    samples.find(
      ({ name, labels }) =>
        name === "leat_settled_total" && labels.sink === sink && labels.outcome === outcome,
    )?.value ?? 0;
  let samples = await measure();
  await waitFor("the live sink to have all", async () => {
    samples = await measure();
    assert.equal(settled("live", "expired") + settled("live", "dead"), 0);
    return missing(traffic.promised, live).length === 0;
  });
  const { degraded } = (await (await fetch(`${daemon.admin}/readyz`)).json()) as {
    degraded: { part: string; reason: string }[];
  };
  const figures = await watch.stop();
  const expired = settled("gone", "expired");
  const p99 = (of: typeof traffic.answers, half: "before" | "after") =>
    half === "before" ? quantileBetween(of, begun, death, 0.99) : quantileBetween(of, death, end, 0.99);
  const p99s = {
    accepts: [p99(traffic.answers, "before"), p99(traffic.answers, "after")],
    "the live sink's deliveries": [p99(live.arrivals, "before"), p99(live.arrivals, "after")],
  } as const;
  const [accepts, deliveries] = [p99s.accepts, p99s["the live sink's deliveries"]];
  recordLedger(t, {
    promised: traffic.promised.size,
    "MiB taken": Math.round((traffic.promised.size * BYTES) / MIB),
    refused: tally(traffic.refused),
    "lost to the live sink": missing(traffic.promised, live).length,
    expired,
    dead: settled("gone", "dead"),
    "accept p99 ms with both alive": accepts[0],
    "accept p99 ms with one dead": accepts[1],
    "live sink p99 ms with both alive": deliveries[0],
    "live sink p99 ms with one dead": deliveries[1],
    "most MiB on disk": Math.round(mostDisk / MIB),
    "most MiB of memory": Math.round(mostMemory / MIB),
    ...identityLedger(figures),
  });
  t.diagnostic(JSON.stringify(degraded));
  t.diagnostic(daemon.output().slice(-3000));

  assert.deepEqual([...traffic.refused], [], "every sender was told yes");
  for (const [what, [before, after]] of Object.entries(p99s)) {
    const most = Math.max(before * P99_TIMES, before + GRAIN_MS);
    assert.ok(after <= most, `p99 of ${what}: ${after} ms, and ${before} ms with both alive`);
  }
  assert.ok(expired * BYTES > 3 * BOUND, `only ${expired} expired`);
  assert.ok(
    mostDisk < BOUND * (1 + SPARE_SHARE) + FIXED,
    `the folder grew to ${Math.round(mostDisk / MIB)} MiB`,
  );
  assert.ok(degraded.some(({ part, reason }) => part === "subscription all/gone" && /expired/.test(reason)));
  assert.match(daemon.output(), /"subscription":"all\/gone".*"expired":\d+/);
  await settleIdentity(watch);
});

/** What the folder takes on disk. */
function folderBytes(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder)) {
    const { blocks } = statSync(join(folder, name), { throwIfNoEntry: false }) ?? { blocks: 0 };
    bytes += blocks * 512;
  }
  return bytes;
}
