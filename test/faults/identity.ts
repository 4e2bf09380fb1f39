/**
 * Watches a daemon's /metrics through a fault run, 50 times a second: in every scrape the identity of J3 holds for every
 * account, counters never go back while the process lives, and what the journal counts not even over a restart.
 */
import assert from "node:assert/strict";
import { makeMetricsReader, type Scrape, Unanswered } from "./metrics-reader.ts";

export interface IdentityFigures {
  readonly scrapes: number;
  /** In which somebody was there to answer. */
  readonly seconds: number;
  /** Scrapes in each of them. */
  readonly perSecond: number;
  /** Asked in vain: the daemon was down, or ended before it had answered. */
  readonly unanswered: number;
  /** Processes that answered. */
  readonly lives: number;
  /** Accounts that were checked, over all scrapes. */
  readonly checks: number;
}

export interface IdentityWatch {
  /** What was wrong so far, the first of it; empty is what a test wants. */
  readonly wrong: readonly string[];
  /** How many scrapes were read so far. */
  readonly scrapes: number;
  /** The daemon is made to stand still from here on, until `goesOn`: no time in which it could answer. */
  standsStill(): void;
  goesOn(): void;
  /** May be called again. */
  stop(): Promise<IdentityFigures>;
}

export const PER_SECOND = 50;

/**
 * What a run has to reach of it. Who is asked and who asks share two cores with senders, receivers and all else that the
 * machine does; a run whose senders leave nothing of both is held to `LEAST_UNDER_FULL_LOAD`. Less is no watch.
 */
export const LEAST_PER_SECOND = 35;
export const LEAST_UNDER_FULL_LOAD = 20;

/** Kept of what is wrong: the rest mostly follows from it. */
const MAX_WRONG = 20;

/** Scrapes under way at once: one that takes longer than its turn doesn't slow the watch down. */
const MAX_UNDER_WAY = 5;

/** Turns that were missed while a thread was busy are made up for, but not those of longer than that, in ms. */
const MADE_UP_MS = 1_000;
const TURN_MS = 1_000 / PER_SECOND;

/** Counted by the journal, and so not even set back by a kill -9: what was scraped was on disk. */
const DURABLE = /^leat_(?:replays_)?(?:accepted|settled)_total$/;

/** `admin` is the admin listener's URL. The daemon may come and go meanwhile. */
export function watchIdentity(admin: string): IdentityWatch {
  const reader = makeMetricsReader(admin, MAX_UNDER_WAY);
  const wrong: string[] = [];
  const underWay = new Set<Promise<void>>();
  const lives = new Set<number>();
  const answering = new Answering(performance.now());
  let [scrapes, unanswered, checks] = [0, 0, 0];
  let stopped: Promise<IdentityFigures> | null = null;
  let ended = false;
  let last: Scrape | null = null;

  const note = (text: string) => {
    if (wrong.length < MAX_WRONG) wrong.push(`scrape ${scrapes}: ${text}`);
  };
  const look = async () => {
    // What had been answered before this one was asked for: two that are under way may answer in either order.
    const before = last;
    const asked = performance.now();
    let scrape: Scrape;
    try {
      scrape = await reader.scrape();
    } catch (error) {
      if (ended) return;
      if (error instanceof Unanswered) {
        unanswered++;
        answering.inVain(asked);
      } else note(String(error));
      return;
    }
    scrapes++;
    answering.answered(performance.now());
    const sums = accounts(scrape);
    checks += sums.size;
    for (const [account, sum] of sums) for (const problem of imbalance(sum)) note(`${account}: ${problem}`);
    lives.add(startedAt(scrape));
    if (before !== null) for (const problem of setBack(before, scrape)) note(problem);
    last = scrape;
  };

  let due = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    due = Math.max(due, now - MADE_UP_MS);
    for (; due <= now && underWay.size < MAX_UNDER_WAY; due += TURN_MS) {
      const one: Promise<void> = look().finally(() => underWay.delete(one));
      underWay.add(one);
    }
  }, TURN_MS / 2);

  const stop = async () => {
    clearInterval(timer);
    const seconds = answering.ms(performance.now()) / 1000;
    const late = setTimeout(() => {
      ended = true;
      void reader.close();
    }, 2000);
    await Promise.all(underWay);
    clearTimeout(late);
    ended = true;
    await reader.close();
    const perSecond = seconds > 0 ? round(scrapes / seconds) : 0;
    return { scrapes, seconds, perSecond, unanswered, lives: lives.size, checks };
  };
  return {
    wrong,
    get scrapes() {
      return scrapes;
    },
    standsStill: () => answering.inVain(performance.now()),
    goesOn: () => answering.answered(performance.now()),
    stop: () => (stopped ??= stop()),
  };
}

/** What a ledger says of a watch. */
export function identityLedger({ scrapes, perSecond }: Pick<IdentityFigures, "scrapes" | "perSecond">): {
  readonly "scrapes of J3": number;
  readonly "scrapes a second": number;
} {
  return { "scrapes of J3": scrapes, "scrapes a second": perSecond };
}

/** Ends the watch and holds it to what it is there for. */
export async function settleIdentity(watch: IdentityWatch, least = LEAST_PER_SECOND): Promise<void> {
  const { perSecond } = await watch.stop();
  assert.deepEqual(watch.wrong, [], "J3");
  assert.ok(
    perSecond >= least,
    `/metrics was scraped ${perSecond} times a second, and has to be ${least} times`,
  );
}

/** How long there was somebody to answer: from an answer until something was asked in vain. */
class Answering {
  /** Since when somebody answers; null: nobody does. */
  #since: number | null;
  #ms = 0;

  constructor(now: number) {
    this.#since = now;
  }

  answered(now: number): void {
    this.#since ??= now;
  }

  /** Asked at `asked`, and never answered. */
  inVain(asked: number): void {
    if (this.#since === null || asked < this.#since) return;
    this.#ms += asked - this.#since;
    this.#since = null;
  }

  ms(now: number): number {
    return this.#ms + (this.#since === null ? 0 : now - this.#since);
  }
}

interface AccountSum {
  accepted: number;
  /** The sum of all states. */
  parts: number;
  states: number;
  absurd: boolean;
}

function accounts({ values, series }: Scrape): Map<string, AccountSum> {
  const sums = new Map<string, AccountSum>();
  for (const [head, value] of values) {
    const { account } = series(head);
    if (account === null) continue;
    let sum = sums.get(account.name);
    if (sum === undefined)
      sums.set(account.name, (sum = { accepted: 0, parts: 0, states: 0, absurd: false }));
    if (!Number.isSafeInteger(value) || value < 0) sum.absurd = true;
    if (account.side === "accepted") sum.accepted += value;
    else {
      sum.parts += value;
      sum.states++;
    }
  }
  return sums;
}

function imbalance({ accepted, parts, states, absurd }: AccountSum): string[] {
  const problems: string[] = [];
  if (accepted !== parts) problems.push(`accepted ${accepted}, but its states add up to ${parts}`);
  // Two targets of a route may go to one sink.
  if (states === 0 || states % 8 !== 0) problems.push(`${states} states, not 8`);
  if (absurd) problems.push("a number below zero, or no whole one");
  return problems;
}

/** Another number, another process. */
function startedAt({ values }: Scrape): number {
  return values.get("leat_start_time_seconds") ?? 0;
}

/** A series that is gone (its route is) begins anew when it comes back. */
function setBack(before: Scrape, now: Scrape): string[] {
  const problems: string[] = [];
  const same = startedAt(now) === startedAt(before);
  for (const [head, value] of before.values) {
    const next = now.values.get(head);
    if (next === undefined || next >= value) continue;
    const { name, grows } = now.series(head);
    if (grows && (same || DURABLE.test(name))) problems.push(`${head} went from ${value} back to ${next}`);
  }
  return problems;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
