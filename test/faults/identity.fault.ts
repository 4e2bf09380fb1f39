/**
 * The identity of J3, scraped 50 times a second while everything that moves an account goes on at once: intake, failing
 * and dead deliveries, filters, replays, purges, pauses, a backlog that expires, reloads, kill -9.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Daemon, makeDaemon, makeReceiver, type Received } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { accountSums, type Sample, scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { recordLedger } from "./ledger.ts";
import { loadSource, numberOf, startLoad, Tally } from "./load.ts";
import { seeded } from "./seed.ts";

const SECONDS = Number(process.env.LEAT_IDENTITY_SECONDS ?? 90);

/** Between two orders, in ms. */
const PAUSE_MS = 150;
/** One order in so many is a kill -9. */
const KILL_ONE_IN = 60;

/** `variant` is what reloads change: orders, concurrency, a filter, a route that comes and goes. */
function configuration(variant: number, hook: string): string {
  const order = variant % 2 === 0 ? "key" : "none";
  const hold = variant % 4 === 2 ? "hold" : "skip";
  const extra = variant % 3 === 0 ? "\n  extra: { from: in, to: [{ sink: good, as: again }, live] }" : "";
  const retry = "initial: 50ms, max_wait: 300ms";
  return `
sources: { in: ${loadSource()} }
sinks:
  good: { type: webhook, url: "${hook}/good", concurrency: ${4 + (variant % 5)}, retry: { ${retry} } }
  flaky:
    type: webhook
    url: "${hook}/flaky"
    order: ${order}
    on_dead: ${hold}
    retry: { ${retry}, max_attempts: 4, dead_on: [404] }
    breaker: { failures: 100 }
  gone:
    type: webhook
    url: "${hook}/gone"
    concurrency: 4
    order: none
    retry: { ${retry}, max_age: 1m }
    backlog: { age: 5m, size: 256KiB }
    breaker: { failures: 1000 }
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  all: { from: in, to: [good, flaky, gone, live] }
  few: { from: in, where: "body.n % ${2 + (variant % 3)} = 0", to: [flaky, live] }${extra}
`;
}

test(`J3 holds in every scrape through ${SECONDS} s of all that moves an account`, async (t) => {
  const { seed, chance: seededChance } = seeded(t);
  const chance = () => seededChance.random();
  const receiver = await makeReceiver();
  const received = new Tally();
  let healed = false;
  receiver.answer = ({ path, body }: Received) => {
    receiver.received.length = 0;
    if (path === "/good") received.add(numberOf(body));
    if (path === "/good" || healed) return 200;
    if (path === "/gone") return 500;
    const luck = chance();
    return luck < 0.25 ? 503 : luck < 0.3 ? 404 : 200;
  };
  const daemon = await makeDaemon(configuration(1, receiver.url));
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  const watch = watchIdentity(daemon.admin);
  const reader = followStream(`${daemon.url}/events`);
  t.after(() => reader.close());
  const load = startLoad({ url: daemon.url, perSecond: 150, connections: 8 });
  const given = new Map<string, number>();
  const until = performance.now() + SECONDS * 1000;
  while (performance.now() < until) {
    const order = await giveOrder(daemon, receiver.url, chance);
    given.set(order, (given.get(order) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    assert.deepEqual(watch.wrong, [], `seed ${seed}`);
  }
  await load.stop();
  healed = true;
  const lost = () => load.promised.missingIn(received);
  await waitFor("every promised event at the good sink", () => lost().length === 0, 60_000);
  await settleAll(daemon, receiver.url);
  const { samples } = await scrapeMetrics(daemon.admin);
  const identity = await watch.stop();

  const total = (name: string, outcome?: string) => sum(samples, name, outcome);
  recordLedger(t, {
    seconds: SECONDS,
    ...identityLedger(identity),
    lives: identity.lives,
    checks: identity.checks,
    "answered 2xx": load.promised.size,
    lost: lost().length,
    ...Object.fromEntries(given),
    ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome, total("leat_settled_total", outcome)])),
    "replays settled": total("leat_replays_settled_total"),
    seed,
  });
  await settleIdentity(watch);
  checkTotals(t, samples, load.promised.size);
  for (const outcome of OUTCOMES)
    assert.ok(total("leat_settled_total", outcome) > 0, `nothing was ${outcome}`);
  assert.ok(total("leat_replays_settled_total") > 0, "nothing was replayed");
});

const OUTCOMES = ["filtered", "delivered", "dead", "expired", "purged"] as const;

/** What one source fed to all sinks from the start on, each sink owes alike: counted apart, and so a check of each other. */
function checkTotals(t: TestContext, samples: readonly Sample[], promised: number): void {
  const accounts = accountSums(samples, "leat_");
  const accepted = ["all → good", "all → flaky", "all → gone", "all → live", "few → flaky", "few → live"].map(
    (account) => accounts.get(account)?.accepted ?? 0,
  );
  t.diagnostic(`accepted by each account: ${accepted.join(", ")}`);
  assert.equal(new Set(accepted).size, 1, `they differ: ${accepted}`);
  assert.ok((accepted[0] ?? 0) >= promised, "less was accepted than promised");
}

function sum(samples: readonly Sample[], wanted: string, outcome?: string): number {
  return samples
    .filter(({ name, labels }) => name === wanted && (outcome === undefined || labels.outcome === outcome))
    .reduce((all, { value }) => all + value, 0);
}

async function ask(daemon: Daemon, path: string, body: object): Promise<number> {
  const response = await fetch(`${daemon.admin}/api${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  return response.status;
}

/** One order that a person may give, or a kill -9; returns its name. */
async function giveOrder(daemon: Daemon, hook: string, chance: () => number): Promise<string> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(chance() * list.length)] as T;
  if (chance() < 1 / KILL_ONE_IN) {
    daemon.signal("SIGKILL");
    await daemon.ended();
    await daemon.start();
    return "kill -9";
  }
  const order = pick([
    "reload",
    "reload",
    "replay dead",
    "replay one",
    "purge owed",
    "purge dead",
    "pause",
    "resume",
  ]);
  const subscription = pick(["all/flaky", "few/flaky", "all/gone"]);
  let status: number;
  switch (order) {
    case "reload":
      daemon.writeConfig(configuration(Math.floor(chance() * 12), hook));
      status = await ask(daemon, "/reload", {});
      break;
    case "replay dead":
      status = await ask(daemon, "/replay", { dead: true, subscription: pick(["all/flaky", "few/flaky"]) });
      break;
    case "replay one": {
      const page = await fetch(`${daemon.admin}/api/events?source=in&limit=50`);
      const { events } = (await page.json()) as { events: { seq: number }[] };
      const seq = pick(events)?.seq;
      status =
        seq === undefined
          ? 200
          : await ask(daemon, "/replay", { seq, subscription: pick(["all/good", "live", "all/flaky"]) });
      break;
    }
    case "purge owed":
      status = await ask(daemon, "/purge", { subscription, what: "owed" });
      break;
    case "purge dead":
      status = await ask(daemon, "/purge", { subscription, what: "dead" });
      break;
    default:
      status = await ask(daemon, `/sinks/${pick(["flaky", "gone"])}/${order}`, {});
  }
  assert.equal(status, 200, order);
  return order;
}

/** Everything may go now: sinks are resumed, keys that are held are freed, and what nobody takes is purged. */
async function settleAll(daemon: Daemon, hook: string): Promise<void> {
  daemon.writeConfig(configuration(0, hook));
  assert.equal(await ask(daemon, "/reload", {}), 200);
  for (const sink of ["good", "flaky", "gone"]) await ask(daemon, `/sinks/${sink}/resume`, {});
  await waitFor(
    "everything to be settled",
    async () => {
      const { samples } = await scrapeMetrics(daemon.admin);
      const open = samples.filter(({ name, value }) => /^leat_(replays_)?unsettled$/.test(name) && value > 0);
      if (open.length === 0) return true;
      for (const subscription of ["all/flaky", "few/flaky", "all/gone"]) {
        await ask(daemon, "/purge", { subscription, what: "dead" });
        await ask(daemon, "/purge", { subscription, what: "owed" });
      }
      return false;
    },
    60_000,
  );
}
