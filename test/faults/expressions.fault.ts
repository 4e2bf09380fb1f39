/**
 * Expressions that mean harm, each in a route of its own, over events that mean harm, beside a route that doesn't; and
 * the daemon is killed while it works on them. It stays up, the other route hardly notices, and what can't be evaluated
 * is dead with the reason.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAIN_LIMITS, WORKER_LIMITS } from "../../src/routing/budget.ts";
import { makeDaemon, makeReceiver } from "../e2e/daemon.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { hostileBody, hostileCases } from "../routing/hostile-cases.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { makeLanding, missing } from "./landing.ts";
import { recordLedger } from "./ledger.ts";
import { type Down, quantileBetween, refusedWhileUp, startTraffic, tally } from "./traffic.ts";

const KILLS = 2;
/**
 * The calm route beside them. From its webhook to its receiver an event needs some eight turns of the main thread, and
 * each may find there evaluations for a slice of 8 ms (program.ts) whose last one began at its end and has 10 ms
 * (`MAIN_LIMITS`). Where the machine is so busy that it takes long without them, it may take twice as long: their own
 * thread is one more that wants a processor of two.
 */
const MAX_P99_MS = 8 * (8 + MAIN_LIMITS.ms);
const P99_TIMES = 2;
/** A webhook whose id and key are hostile: two evaluations, each on the main thread and then on the expressions' own. */
const MAX_NAMING_MS = 2 * (MAIN_LIMITS.ms + WORKER_LIMITS.ms) + MAX_P99_MS;
/** After a kill it may take so many times as long to be ready as at the first start. */
const READY_TIMES = 2;
const READY_MORE_MS = 2_000;

/** Large ones go to the expressions' own thread at once, small ones only once they have overrun. */
const EVENTS = [
  hostileBody,
  { ...hostileBody, text: "a".repeat(500), evil: `${"a".repeat(500)}!` },
  JSON.parse(`${"[".repeat(2_000)}${"]".repeat(2_000)}`) as object,
  { width: 3e8, n: "9".repeat(400), items: { length: 1e9 }, constructor: { toString: null } },
];

/** Widths, patterns and pictures that the event itself brings. */
const BROUGHT = ['$pad("x", body.width)', "$formatNumber(body.width, body.text)", '$split(body.evil, "")'];

test("hostile expressions harm nobody, also across a restart", { timeout: 600_000 }, async (t) => {
  const calm = await makeLanding();
  const out = await makeReceiver();
  const sources = [...hostileCases.map(([, source]) => source), ...BROUGHT];
  const routes = sources.map((source, nth) => {
    const where = nth % 3 === 0 ? { where: source } : {};
    const transform =
      nth % 3 === 0 ? {} : { transform: nth % 3 === 1 ? source : { made: `{{ ${source} }}` } };
    return [`h${nth}`, { from: "hostile", ...where, to: { sink: "out", ...transform } }] as const;
  });
  const daemon = await makeDaemon(
    Object.entries({
      sources: {
        calm: { type: "webhook", path: "/calm", verify: { type: "none" }, id: "body.id" },
        hostile: { type: "webhook", path: "/hostile", verify: { type: "none" } },
        named: {
          type: "webhook",
          path: "/named",
          verify: { type: "none" },
          id: BROUGHT[0],
          key: "($f := function($x) { $f($x) }; $f(1))",
        },
      },
      sinks: {
        calm: { type: "webhook", url: `${calm.url}/` },
        out: { type: "webhook", url: `${out.url}/` },
      },
      routes: {
        calm: { from: "calm", where: "$contains(body.id, /[0-9a-f]+-/)", to: "calm" },
        named: { from: "named", to: "out" },
        ...Object.fromEntries(routes),
      },
    })
      .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
      .join("\n"),
  );
  t.after(async () => {
    await daemon.close();
    await Promise.all([calm.close(), out.close()]);
  });
  const started = performance.now();
  await daemon.start();
  const firstMs = Math.round(performance.now() - started);
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  const traffic = startTraffic({ url: `${daemon.url}/calm`, perSecond: 50 });
  t.after(() => traffic.stop());
  await waitFor("a measure of how it is without", () => calm.arrivals.length > 500, 60_000);

  const begun = performance.now();
  const post = async (path: string, body: object) => {
    const response = await fetch(`${daemon.url}${path}`, { method: "POST", body: JSON.stringify(body) });
    assert.equal(response.status, 200, await response.text());
  };
  const each = EVENTS.length * routes.length;
  let longestTurn = 0;
  /** How many of the hostile events have which outcome, over all routes; those unsettled under `open`. */
  const account = async () => {
    const { samples } = await scrapeMetrics(daemon.admin);
    const delay = samples.find(({ name }) => name === "leat_event_loop_delay_max_seconds")?.value ?? 0;
    longestTurn = Math.max(longestTurn, delay * 1000);
    const sums = { delivered: 0, dead: 0, filtered: 0, open: 0 };
    for (const { name, labels, value } of samples) {
      if (!/^h\d+$/.test(labels.route ?? "")) continue;
      if (name === "leat_unsettled") sums.open += value;
      else if (name === "leat_settled_total" && (labels.outcome ?? "") in sums) {
        sums[labels.outcome as keyof typeof sums] += value;
      }
    }
    return sums;
  };
  const settled = async (count: number) => {
    const { delivered, dead, filtered } = await account();
    return delivered + dead + filtered >= count;
  };

  // Once undisturbed, to see what the calm route notices of it.
  for (const body of EVENTS) await post("/hostile", body);
  const naming = performance.now();
  await post("/named", hostileBody);
  const namedMs = Math.round(performance.now() - naming);
  await waitFor("all of them to be settled", () => settled(each), 240_000);
  const p99 = {
    without: quantileBetween(calm.arrivals, 0, begun, 0.99),
    beside: quantileBetween(calm.arrivals, begun, performance.now(), 0.99),
  };
  const turn = Math.round(longestTurn);

  // And once more, killed meanwhile.
  for (const body of EVENTS) await post("/hostile", body);
  const readyMs: number[] = [];
  const downs: Down[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    const some = each + (each * kill) / (KILLS + 2);
    await waitFor("some of them to be settled", () => settled(some), 120_000);
    const from = performance.now();
    daemon.signal("SIGKILL");
    await daemon.ended();
    const starts = performance.now();
    await daemon.start();
    downs.push({ from, to: performance.now() });
    readyMs.push(Math.round(performance.now() - starts));
  }
  await waitFor("all of them to be settled", () => settled(2 * each), 240_000);
  const sums = await account();
  await traffic.stop();
  await waitFor("the calm ones to arrive", () => missing(traffic.promised, calm).length === 0, 30_000);
  const letters = (
    await Promise.all(routes.map(([route]) => deadLetters(daemon.admin, `${route}/out`)))
  ).flat();
  const refusedThen = refusedWhileUp(traffic, downs);
  const figures = await watch.stop();
  recordLedger(t, {
    routes: routes.length,
    events: 2 * EVENTS.length,
    ...sums,
    "calm promised": traffic.promised.size,
    "calm refused or cut over the kills": tally(traffic.refused),
    "calm refused at another time": refusedThen.length,
    "calm lost": missing(traffic.promised, calm).length,
    "calm p99 ms without": p99.without,
    "calm p99 ms beside them": p99.beside,
    "longest turn of the event loop ms": turn,
    "hostile names ms": namedMs,
    "ready ms": `${firstMs}, killed ${readyMs.join(" + ")}`,
    ...identityLedger(figures),
  });

  assert.deepEqual(refusedThen, [], "no sender of the calm route hears no");
  assert.ok(namedMs < MAX_NAMING_MS, `a hostile id and key took ${namedMs} ms`);
  await settleIdentity(watch);

  const most = Math.max(MAX_P99_MS, p99.without * P99_TIMES);
  assert.ok(p99.beside < most, `the calm route's p99 was ${p99.beside} ms, and ${p99.without} ms without`);
  assert.ok(
    Math.max(...readyMs) < firstMs * READY_TIMES + READY_MORE_MS,
    `ready after ${firstMs}, then ${readyMs.join(" and ")} ms`,
  );
  assert.equal(sums.delivered + sums.dead + sums.filtered, 2 * each);
  assert.equal(sums.open, 0);
  assert.equal(letters.length, sums.dead);
  assert.deepEqual(
    letters.filter(({ error, message }) => error === "" || message === ""),
    [],
  );
  assert.deepEqual(
    letters.filter(({ error }) => error === "crashed"),
    [],
    "two kills make no event dead",
  );
});

test("an event that ends the process each time is dead at last, and the others go on", {
  timeout: 300_000,
}, async (t) => {
  const landing = await makeLanding();
  const daemon = await makeDaemon(`
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }
sinks: { out: { type: webhook, url: "${landing.url}/", retry: { initial: 100ms } } }
routes: { all: { from: in, to: out } }
`);
  t.after(async () => {
    await daemon.close();
    await landing.close();
  });
  let killed = 0;
  landing.answer = ({ id }) => {
    if (id !== "poison") return 200;
    killed++;
    daemon.signal("SIGKILL");
    return null;
  };
  await daemon.start();
  const post = async (id: string, n: number) => {
    const body = JSON.stringify({ id, key: "", n, at: 0 });
    assert.equal((await fetch(`${daemon.url}/in`, { method: "POST", body })).status, 200);
  };
  const others = Array.from({ length: 20 }, (_, n) => `other-${n}`);
  const half = others.length / 2;
  for (const [n, id] of [...others.slice(0, half), "poison", ...others.slice(half)].entries()) {
    await post(id, n).catch(() => {
      // It has ended of it already: the rest comes after its restart.
    });
  }
  let starts = 0;
  const letters = await waitFor(
    "the poison to be dead",
    async () => {
      for (; killed > starts; starts++) {
        assert.equal(await daemon.ended(), "SIGKILL");
        await daemon.start();
      }
      return (await deadLetters(daemon.admin, "all/out"))[0];
    },
    120_000,
  );
  for (const [n, id] of others.entries()) if (!landing.taken.has(id)) await post(id, n);
  await waitFor("the others to arrive", () => others.every((id) => landing.taken.has(id)), 30_000);
  recordLedger(t, {
    "starts that it ended": killed,
    others: others.length,
    "others arrived": landing.taken.size,
  });
  assert.equal(letters.error, "crashed");
  assert.ok(killed <= 4, `it was tried ${killed} times`);
});

interface Letter {
  readonly error: string;
  readonly message: string;
}

async function deadLetters(admin: string, subscription: string): Promise<Letter[]> {
  const response = await fetch(
    `${admin}/api/dead?limit=100&subscription=${encodeURIComponent(subscription)}`,
  );
  return ((await response.json()) as { dead: Letter[] }).dead;
}
