/**
 * One receiver misbehaves in every way at once, and then takes 30 s for an answer, beside one that doesn't. It is two
 * sinks: one gives up on it long before (2 s), the other waits for it (45 s). Whatever it was sent arrives or is dead with
 * a reason, and the steady one's deliveries take no longer.
 *
 * How long is compared between rounds with and without it, which take turns so that what else the machine does falls on
 * both; of each kind the median round counts.
 */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { makeDaemon } from "../e2e/daemon.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { disorder, makeLanding, missing } from "./landing.ts";
import { recordLedger } from "./ledger.ts";
import { quantile, quantileBetween, startTraffic, tally } from "./traffic.ts";

const ROUNDS = Number(process.env.LEAT_ROUNDS ?? 7);
const ROUND_MS = 15_000;
/** Between two rounds: what the one began has ended. */
const PAUSE_MS = 3_000;
/** So many rounds of it, each as long as one answer takes. */
const SLOW_ROUNDS = Math.ceil(ROUNDS / 2);
const SLOW_MS = 30_000;
const PER_SECOND = 100;
/** The pass mark of the programme. */
const SHARE = 1.1;

test("one receiver misbehaves, and another's deliveries take no longer", { timeout: 900_000 }, async (t) => {
  const [steady, wild, waited] = [await makeLanding(), await makeLanding(), await makeLanding()];
  const behaviour = new Behaviour();
  wild.answer = (_, response) => behaviour.answer(response);
  waited.answer = (_, response) => (behaviour.mood === "slow" ? later(response, SLOW_MS) : 200);
  const daemon = await makeDaemon(`
sources:
  steady: { type: webhook, path: /steady, verify: { type: none }, id: body.id, key: body.key }
  wild: { type: webhook, path: /wild, verify: { type: none }, id: body.id, key: body.key }
sinks:
  steady: { type: webhook, url: "${steady.url}/" }
  wild:
    type: webhook
    url: "${wild.url}/"
    timeout: 2s
    concurrency: 64
    retry: { initial: 500ms, factor: 2, max_wait: 5s, max_attempts: 12 }
  waited: { type: webhook, url: "${waited.url}/", timeout: 45s, concurrency: 64 }
routes:
  steady: { from: steady, to: steady }
  wild: { from: wild, to: [wild, waited] }
`);
  t.after(async () => {
    await daemon.close();
    await Promise.all([steady.close(), wild.close(), waited.close()]);
  });
  await daemon.start();
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  const other = startTraffic({ url: `${daemon.url}/steady`, perSecond: PER_SECOND, keys: 50 });
  const sent = startTraffic({ url: `${daemon.url}/wild`, perSecond: PER_SECOND });
  t.after(() => Promise.all([other.stop(), sent.stop()]));
  const pass = (ms: number) => {
    const begun = performance.now();
    return waitFor("the time to pass", () => performance.now() - begun >= ms, ms + 1000);
  };

  await waitFor("deliveries at both", () => Math.min(steady.taken.size, wild.taken.size) > 500, 60_000);
  const p99 = {
    calm: [] as number[],
    chaos: [] as number[],
    "calm again": [] as number[],
    slow: [] as number[],
  };
  const pairs = [
    ...Array.from({ length: ROUNDS }, () => ["calm", "chaos"] as const),
    ...Array.from({ length: SLOW_ROUNDS }, () => ["calm again", "slow"] as const),
  ];
  for (const kind of pairs.flat()) {
    behaviour.mood = kind === "calm again" ? "calm" : kind;
    await pass(PAUSE_MS);
    const begun = performance.now();
    await pass(kind === "slow" ? SLOW_MS : ROUND_MS);
    const end = performance.now();
    behaviour.mood = "calm";
    await waitFor(
      "those of the round to arrive",
      () => steady.taken.size >= other.promised.size - PER_SECOND,
    );
    // What the slow rounds hold up comes first, or the next calm one would be none.
    const heldUp = () => Math.max(...[wild, waited].map((to) => sent.promised.size - to.taken.size));
    await waitFor("what was held up", () => kind !== "slow" || heldUp() < PER_SECOND, 180_000);
    p99[kind].push(quantileBetween(steady.arrivals, begun, end, 0.99));
  }
  await Promise.all([other.stop(), sent.stop()]);
  await waitFor("the other to have all", () => missing(other.promised, steady).length === 0);
  await waitFor("who waited to have all", () => missing(sent.promised, waited).length === 0, 120_000);
  const settled = async () => {
    const { samples } = await scrapeMetrics(daemon.admin);
    const of = (outcome: string) =>
      samples.find(
        ({ name, labels }) =>
          name === "leat_settled_total" && labels.sink === "wild" && labels.outcome === outcome,
      )?.value ?? 0;
    return { delivered: of("delivered"), dead: of("dead"), expired: of("expired") };
  };
  await waitFor(
    "all to be delivered, or dead",
    async () => {
      const { delivered, dead } = await settled();
      return delivered + dead === sent.promised.size;
    },
    120_000,
  );
  const figures = await watch.stop();
  const { delivered, dead, expired } = await settled();
  const letters = await deadLetters(daemon.admin);
  const buried = new Set(letters.map(({ event }) => event.id));
  const lost = missing(sent.promised, wild).filter((id) => !buried.has(id));
  const median = (kind: keyof typeof p99) => quantile(p99[kind], 0.5);
  const pairsOf = [
    ["chaos", median("chaos"), median("calm")],
    ["slow", median("slow"), median("calm again")],
  ] as const;
  recordLedger(t, {
    promised: sent.promised.size,
    refused: tally(new Map([...sent.refused, ...other.refused])),
    misbehaved: tally(behaviour.did),
    delivered,
    dead,
    lost: lost.length,
    repeats: [...wild.taken.values()].reduce((sum, count) => sum + count - 1, 0),
    "the other's p99 ms, calm": p99.calm.join(" "),
    "the other's p99 ms, chaos": p99.chaos.join(" "),
    "the same between the slow rounds": p99["calm again"].join(" "),
    "the other's p99 ms, slow": p99.slow.join(" "),
    "medians ms": pairsOf.map(([kind, bad, calm]) => `${calm} calm, ${bad} ${kind}`).join("; "),
    ...identityLedger(figures),
  });

  assert.deepEqual(lost, []);
  assert.equal(expired, 0);
  assert.deepEqual(
    letters.filter(({ error, message }) => error === "" || message === ""),
    [],
  );
  assert.equal(wild.unstable, 0, "a repeat carries the webhook-id of the first");
  assert.equal(disorder(other.promised, steady), 0);
  await settleIdentity(watch);
  for (const [kind, bad, calm] of pairsOf) {
    assert.ok(bad <= calm * SHARE, `p99 ${bad} ms when it is ${kind}, and ${calm} ms when it is calm`);
  }
});

/** What the wild receiver does: 10 % 500, 5 % no answer, 1 % half an answer; or each after 30 s. */
class Behaviour {
  mood: "calm" | "chaos" | "slow" = "calm";
  readonly did = new Map<string, number>();
  #n = 0;

  answer(response: ServerResponse): number | null | Promise<number | null> {
    if (this.mood === "calm") return 200;
    if (this.mood === "slow") {
      this.#note("30 s");
      return later(response, SLOW_MS);
    }
    // By turns and not by chance: every round has the same.
    const turn = this.#n++ % 100;
    if (turn % 10 === 3) {
      this.#note("500");
      return 500;
    }
    if (turn % 20 === 7) {
      this.#note("no answer");
      return null;
    }
    if (turn === 50) {
      this.#note("half an answer");
      response.writeHead(200, { "content-length": 1000 });
      response.write("only this");
      setImmediate(() => response.destroy());
      return null;
    }
    return 200;
  }

  #note(what: string): void {
    this.did.set(what, (this.did.get(what) ?? 0) + 1);
  }
}

/** 200, some time later, unless the other end has gone. */
function later(response: ServerResponse, ms: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const timer = setTimeout(resolve, ms, 200);
  response.once("close", () => clearTimeout(timer));
  return promise;
}

interface Letter {
  readonly error: string;
  readonly message: string;
  readonly event: { readonly id: string };
}

async function deadLetters(admin: string): Promise<Letter[]> {
  const response = await fetch(`${admin}/api/dead?limit=1000&subscription=wild%2Fwild`);
  return ((await response.json()) as { dead: Letter[] }).dead;
}
