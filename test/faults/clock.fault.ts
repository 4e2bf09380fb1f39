/**
 * The wall clock is stepped an hour forth and back under load, and the daemon killed while it is wrong. Every age that
 * the configuration allows is shorter than the step, so whatever trusts the wall clock expires, dies, is forgotten or
 * sleeps for an hour. The real time that waits take is measured at the receivers, by this process's own clock.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { makeDaemon } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { makeFakeTime } from "./faketime.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { disorder, type Landed, makeLanding, missing } from "./landing.ts";
import { recordLedger } from "./ledger.ts";
import { refusedWhileUp, startTraffic, tally } from "./traffic.ts";

const HOUR = 3_600_000;
const RETRY_S = 15;
/** The machine may be busy: so much later than due may a retry come. */
const SLACK_S = 15;
const PER_SECOND = 60;
/** How long each step stays: more than the look at what the streams keep takes to come round. */
const STAY_MS = 35_000;
const SECRET = "whsec_c2VjcmV0LXRoYXQtYm90aC1lbmRzLWtub3c=";

test("the clock is stepped an hour back and forth under load", { timeout: 600_000 }, async (t) => {
  const time = makeFakeTime();
  const [prompt, second] = [await makeLanding(), await makeLanding()];
  const tries = new Tries();
  second.answer = (landed) => (tries.count(landed) === 1 ? 503 : 200);
  const daemon = await makeDaemon(
    `
retention: { age: 40m, dead: { age: 40m } }
sources:
  in: { type: webhook, path: /in, verify: { type: none }, id: body.id, key: body.key, dedupe: 40m }
  few: { type: webhook, path: /few, verify: { type: none }, id: body.id, dedupe: 40m }
  signed: { type: webhook, path: /signed, verify: { type: standard, secret: "${SECRET}" } }
sinks:
  prompt: { type: webhook, url: "${prompt.url}/" }
  second:
    type: webhook
    url: "${second.url}/"
    breaker: { failures: 1000000 }
    backlog: { age: 35m }
    retry: { initial: ${RETRY_S}s, factor: 1, jitter: 0, max_age: 30m }
  live: { type: sse, path: /events, auth: { type: none }, channels: [all], channel: all, history: { age: 30m } }
routes:
  all: { from: in, to: [prompt, live] }
  twice: { from: few, to: second }
  checked: { from: signed, to: live }
`,
    time.env,
  );
  t.after(async () => {
    await daemon.close();
    await Promise.all([prompt.close(), second.close()]);
    time.remove();
  });
  await daemon.start();
  const reader = followStream(`${daemon.url}/events`);
  t.after(() => reader.close());
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  const all = startTraffic({ url: `${daemon.url}/in`, perSecond: PER_SECOND, keys: 20 });
  const few = startTraffic({ url: `${daemon.url}/few`, perSecond: 10 });
  t.after(() => Promise.all([all.stop(), few.stop()]));

  const first = `{"id":"first","key":"first","n":0,"at":0}`;
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    fetch(`${daemon.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
  assert.equal((await post("/few", first)).status, 200);

  let signed = 0;
  /** Posts as a sender does whose clock is off by so much. */
  const postSigned = async (offset: number) => {
    const [id, at] = [`signed-${signed++}`, new Date(Date.now() + offset)];
    const response = await post("/signed", first, {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(SECRET).sign(id, at, first),
    });
    return response.status;
  };
  const notes = async () => JSON.stringify(await (await fetch(`${daemon.admin}/readyz`)).json());

  /** Lives with a clock that is off by so much for a while, and sees that all is as it should be. */
  const live = async (offset: number) => {
    const begun = performance.now();
    await waitFor("a signature of its own time", async () => (await postSigned(offset)) === 200);
    for (const other of [-HOUR, 0, HOUR]) {
      if (other !== offset)
        assert.equal(await postSigned(other), 401, `a signature of ${other} at ${offset}`);
    }
    const again = (await (await post("/few", first)).json()) as { duplicate?: boolean };
    assert.equal(again.duplicate, true, "an id is remembered whatever the clock says");
    assert.match(await notes(), /clock has stepped/);
    await waitFor("the time to pass", () => performance.now() - begun > STAY_MS, STAY_MS + 1000);
  };

  await waitFor("first retries", () => second.taken.size > 30, 60_000);
  for (const offset of [HOUR, 0, -HOUR]) {
    time.step(offset);
    await live(offset);
  }
  const killed = performance.now();
  daemon.signal("SIGKILL");
  await daemon.ended();
  time.step(HOUR);
  await daemon.start();
  const down = { from: killed, to: performance.now() };
  tries.interrupted(down.from, down.to);
  await live(HOUR);
  time.step(0);
  await live(0);

  await Promise.all([all.stop(), few.stop()]);
  const waits = RETRY_S * 1000 + SLACK_S * 1000;
  await waitFor("retries of the last", () => missing(few.promised, second).length === 0, waits + 30_000);
  await waitFor("all to arrive", () => missing(all.promised, prompt).length === 0);
  await waitFor("the reader to have all", () => reader.events.length >= all.promised.size, 30_000);
  // Who was away all the while finds in the streams' history what it missed.
  const late = followStream(`${daemon.url}/events`, reader.events[0]?.id);
  t.after(() => late.close());
  await waitFor("a late reader to have all", () => late.events.length >= reader.events.length - 1, 30_000);
  const { samples } = await scrapeMetrics(daemon.admin);
  const sum = (name: string, outcome?: string) =>
    samples
      .filter((one) => one.name === name && (outcome === undefined || one.labels.outcome === outcome))
      .reduce((total, { value }) => total + value, 0);
  const figures = await watch.stop();
  const waited = tries.waited();
  const refusedThen = [all, few].flatMap((traffic) => refusedWhileUp(traffic, [down]));
  const promised = all.promised.size + few.promised.size;
  recordLedger(t, {
    promised,
    "refused or cut over the kill": tally(new Map([...all.refused, ...few.refused])),
    "refused at another time": refusedThen.length,
    lost: missing(all.promised, prompt).length + missing(few.promised, second).length,
    dead: sum("leat_settled_total", "dead"),
    expired: sum("leat_settled_total", "expired"),
    retries: waited.length,
    "shortest wait s": seconds(Math.min(...waited)),
    "longest wait s": seconds(Math.max(...waited)),
    "longest over the restart s": seconds(tries.longestOver),
    "most attempts in a second": tries.most(),
    "most after the restart": tries.most(true),
    "events kept": sum("leat_journal_events"),
    gaps: reader.gaps.length + late.gaps.length,
    ...identityLedger(figures),
  });
  t.diagnostic(daemon.output().slice(-2000));

  assert.equal(sum("leat_settled_total", "dead") + sum("leat_settled_total", "expired"), 0);
  assert.deepEqual(refusedThen, [], "no sender hears no because of the clock");
  assert.ok(sum("leat_journal_events") >= promised, "what is younger than its age is kept");
  assert.ok(Math.min(...waited) > (RETRY_S - 1) * 1000, "no retry came before its time");
  assert.ok(Math.max(...waited, tries.longestOver) < waits, "no retry slept");
  assert.ok(tries.most() < 60, `${tries.most()} attempts within a second, where 20 are normal`);
  assert.equal(disorder(all.promised, prompt), 0);
  assert.deepEqual([reader.gaps, late.gaps], [[], []]);
  const seqs = reader.events.map(({ id }) => Number(id));
  assert.ok(seqs.every((seq, nth) => nth === 0 || seq > (seqs[nth - 1] as number)));
  await settleIdentity(watch);
});

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}

/** When which event was tried, by this process's monotonic clock. */
class Tries {
  readonly #first = new Map<string, number>();
  readonly #waited = new Map<string, number>();
  readonly #bySecond = new Map<number, number>();
  #down = { from: 0, to: 0 };
  /** Of those that waited when it was killed: their first attempts. */
  readonly #over = new Map<string, number>();
  #longestOver = 0;

  /** How often it was tried, with this time. */
  count({ id }: Landed): number {
    const now = performance.now();
    const second = Math.floor(now / 1000);
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + 1);
    const first = this.#first.get(id);
    if (first === undefined) {
      this.#first.set(id, now);
      return 1;
    }
    if (!this.#waited.has(id)) this.#waited.set(id, now - first);
    const before = this.#over.get(id);
    if (before !== undefined) {
      this.#longestOver = Math.max(this.#longestOver, now - before - (this.#down.to - this.#down.from));
      this.#over.delete(id);
    }
    return 2;
  }

  /**
   * The daemon was down, and its clock another afterwards. A forward step is taken for time that it was down: who waited
   * then may be tried at once, and is left out; but nobody may wait for longer than that and the wait itself.
   */
  interrupted(from: number, to: number): void {
    this.#down = { from, to };
    for (const [id, first] of this.#first) {
      if (this.#waited.has(id)) continue;
      this.#waited.set(id, RETRY_S * 1000);
      this.#over.set(id, first);
    }
  }

  /** The longest wait over the restart, less the time that it was down. */
  get longestOver(): number {
    return this.#longestOver;
  }

  waited(): number[] {
    return [...this.#waited.values()];
  }

  /** Attempts in the busiest second; of those after the restart, when what came due meanwhile comes, or of the others. */
  most(restart = false): number {
    const { from, to } = this.#down;
    const after = (second: number) => second * 1000 > from - 1000 && second * 1000 < to + RETRY_S * 1000;
    const seconds = [...this.#bySecond].filter(([second]) => after(second) === restart);
    return Math.max(...seconds.map(([, count]) => count));
  }
}
