/**
 * Reloads under load: the file is replaced by rename each time, every third time by one that is invalid. No webhook is
 * refused, no reader dropped, nothing lost, and the process takes no more of the machine at the end than after its
 * first reloads.
 */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Daemon, makeDaemon, makeReceiver } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { scrapeMetrics, unsettled } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, LEAST_UNDER_FULL_LOAD, settleIdentity, watchIdentity } from "./identity.ts";
import { recordLedger } from "./ledger.ts";
import { LOAD_SECRET, numberOf, startLoad, Tally } from "./load.ts";
import { type ProcessFigures, processFigures, SMALL_CONTAINER } from "./process-figures.ts";

/** Reloads until memory, descriptors and subscriptions are looked at for the first time. */
const WARM_UP = 30;

const MIB = 1024 * 1024;
const MOST_GROWTH = { residentBytes: 48 * MIB, threads: 0, descriptors: 8 } as const;

const VALID = 6;

/**
 * The `number`th file. All valid ones have the source `in`, the sink `out` and the stream `live`; the source, the sink,
 * the routes and what else there is change from one to the next.
 */
function configuration(number: number, hook: string): string {
  const variant = number % VALID;
  const secrets = variant % 2 === 0 ? `[${LOAD_SECRET}]` : `[another-secret-${variant}, ${LOAD_SECRET}]`;
  const more = variant % 3 === 0 ? "" : `\n  more: { type: webhook, path: /more, verify: { type: none } }`;
  const extra = variant < 3 ? "" : `\n  extra: { from: in, where: "body.n % 7 = ${variant}", to: other }`;
  return `
log: { level: ${variant === 5 ? "debug" : "info"} }
sources:
  in: { type: webhook, path: /in, verify: { type: github, secret: ${secrets} }, key: body.key }${more}
sinks:
  out:
    type: webhook
    url: "${hook}/hook"
    concurrency: ${8 + variant}
    headers: { x-variant: "${variant}" }
    retry: { initial: 100ms, max_wait: 1s }
  other: { type: webhook, url: "${hook}/other", retry: { initial: 100ms, max_wait: 1s } }
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  all: { from: in, to: [{ sink: out, retry: { initial: ${100 + variant}ms } }, live] }${extra}
`;
}

/** What an editor may leave behind: a slip, YAML that is none, half a file, nothing, what no route can mean. */
function invalid(number: number, hook: string): string {
  const whole = configuration(number, hook);
  const broken = [
    whole.replace("from: in,", "from: inn,"),
    `${whole}\n  : [`,
    whole.slice(0, whole.indexOf("concurrency:") + "concurrency:".length + 1).concat("many"),
    "",
    whole.replace("to: [{ sink: out", "to: [{ sink: nowhere"),
    whole.replace("url:", "ulr:"),
  ];
  return broken[number % broken.length] as string;
}

export async function reloadUnderLoad(t: TestContext, reloads: number): Promise<void> {
  const receiver = await makeReceiver();
  const received = new Tally();
  receiver.answer = ({ path, body }) => {
    receiver.received.length = 0;
    const n = numberOf(body);
    // One in 40 fails at its first attempt, so that retries wait over reloads.
    if (path === "/hook") received.add(n);
    return path === "/hook" && n % 40 === 3 && received.times(n) === 1 ? 503 : 200;
  };
  const first = configuration(0, receiver.url);
  const daemon = await makeDaemon(first, SMALL_CONTAINER);
  const file = join(daemon.folder, "leat.yaml");
  const preamble = readFileSync(file, "utf8").slice(0, -first.length);
  /** As an editor does it, and a mounted ConfigMap. */
  const replace = (text: string) => {
    writeFileSync(`${file}.new`, text === "" ? "" : preamble + text);
    renameSync(`${file}.new`, file);
  };
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  const reader = followStream(`${daemon.url}/events`);
  await waitFor("the reader to be connected", () => reader.connections === 1);
  const load = startLoad({ url: daemon.url, perSecond: null, connections: 8 });

  let early: Footprint | null = null;
  const took: number[] = [];
  for (let number = 1; number <= reloads; number++) {
    const good = number % 3 !== 0;
    const text = good ? configuration(number, receiver.url) : invalid(number, receiver.url);
    const sent = load.promised.size;
    replace(text);
    took.push(await reload(daemon, good, number % 2 === 0));
    if (number === Math.min(WARM_UP, reloads >> 1)) early = await footprint(daemon);
    await waitFor("some load between two reloads", () => load.promised.size > sent + 20);
  }
  // One that has all that any has, so that nothing stays owed to a route that is gone.
  replace(configuration(VALID - 1, receiver.url));
  await reload(daemon, true, true);
  await load.stop();
  await waitFor("every webhook at the sink", () => load.promised.missingIn(received).length === 0, 30_000);
  const seen = new Tally();
  await waitFor(
    "every webhook at the reader",
    () => {
      for (const { data } of reader.events.splice(0)) seen.add(numberOf(data));
      return load.promised.missingIn(seen).length === 0;
    },
    30_000,
  );
  await waitFor("everything to be settled", async () => (await unsettled(daemon.admin)) === 0);
  replace(first);
  await reload(daemon, true, true);
  const late = await footprint(daemon);
  reader.close();
  const identity = await watch.stop();
  assert.ok(early !== null);

  took.sort((a, b) => a - b);
  recordLedger(t, {
    reloads,
    invalid: Math.floor(reloads / 3),
    "answered 2xx": load.promised.size,
    refused: [...load.refused.values()].reduce((sum, times) => sum + times, 0),
    lost: load.promised.missingIn(received).length,
    repeats: received.total - received.size,
    "reader's connections": reader.connections,
    "reload p50, ms": Math.round(took[took.length >> 1] ?? 0),
    "longest reload, ms": Math.round(took.at(-1) ?? 0),
    "RSS, MiB": `${Math.round(early.residentBytes / MIB)} → ${Math.round(late.residentBytes / MIB)}`,
    threads: `${early.threads} → ${late.threads}`,
    descriptors: `${early.descriptors} → ${late.descriptors}`,
    subscriptions: `${early.subscriptions} → ${late.subscriptions}`,
    ...identityLedger(identity),
  });
  assert.deepEqual([...load.refused], [], "no webhook was refused");
  await settleIdentity(watch, LEAST_UNDER_FULL_LOAD);
  assert.equal(reader.connections, 1, "the reader was never dropped");
  assert.deepEqual(reader.gaps, []);
  assert.equal(seen.total, seen.size, "the reader saw nothing twice");
  // One whose route is gone keeps its place for the route's return.
  assert.ok(
    late.subscriptions <= early.subscriptions,
    "no subscription came to be beside those that have a name",
  );
  for (const [figure, most] of Object.entries(MOST_GROWTH) as [keyof ProcessFigures, number][]) {
    const growth = late[figure] - early[figure];
    assert.ok(growth <= most, `${figure} grew by ${growth}, and may by ${most}`);
  }
}

/** Has the file read, by a request or by a signal; resolves with how long that took, in ms. */
async function reload(daemon: Daemon, good: boolean, byRequest: boolean): Promise<number> {
  const began = performance.now();
  if (byRequest) {
    const response = await fetch(`${daemon.admin}/api/reload`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    assert.equal(response.status, good ? 200 : 422, await response.text());
  } else {
    const told = () =>
      daemon.output().split(good ? '"configuration reloaded"' : "configuration not reloaded").length;
    const before = told();
    daemon.signal("SIGHUP");
    await waitFor("the log to tell of the reload", () => told() > before);
  }
  const ms = performance.now() - began;
  const { samples } = await scrapeMetrics(daemon.admin);
  const success = samples.find(({ name }) => name === "leat_config_reload_success")?.value;
  assert.equal(success, good ? 1 : 0, "leat_config_reload_success");
  return ms;
}

interface Footprint extends ProcessFigures {
  readonly subscriptions: number;
}

async function footprint(daemon: Daemon): Promise<Footprint> {
  const { subscriptions } = (await (await fetch(`${daemon.admin}/api/subscriptions`)).json()) as {
    subscriptions: unknown[];
  };
  return { ...processFigures(daemon.pid()), subscriptions: subscriptions.length };
}
