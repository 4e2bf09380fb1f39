/**
 * Watches a daemon's /metrics through a fault run, 50 times a second: in every scrape the identity of J3 holds for every
 * account, counters never go back while the process lives, and what the journal counts not even over a restart.
 */
import { type AccountSum, accountSums, type Metrics, type Sample, scrapeMetrics } from "../metrics-text.ts";

export interface IdentityFigures {
  readonly scrapes: number;
  /** Scrapes a second, over the whole watch, also while nobody answered. */
  readonly perSecond: number;
  /** Nobody answered: the daemon was down. */
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
  stop(): Promise<IdentityFigures>;
}

/** Kept of what is wrong: the rest mostly follows from it. */
const MAX_WRONG = 20;

/** Scrapes under way at once: one that takes longer than its turn doesn't slow the watch down. */
const MAX_UNDER_WAY = 5;

/** Counted by the journal, and so not even set back by a kill -9: what was scraped was on disk. */
const DURABLE = /^leat_(?:replays_)?(?:accepted|settled)_total$/;

/** `admin` is the admin listener's URL. The daemon may come and go meanwhile. */
export function watchIdentity(admin: string, perSecond = 50): IdentityWatch {
  const wrong: string[] = [];
  const stop = new AbortController();
  const underWay = new Set<Promise<void>>();
  const lives = new Set<number>();
  const began = performance.now();
  let [scrapes, unanswered, checks] = [0, 0, 0];
  let last: Seen | null = null;

  const note = (text: string) => {
    if (wrong.length < MAX_WRONG) wrong.push(`scrape ${scrapes}: ${text}`);
  };
  const look = async () => {
    // What had been answered before this one was asked for: two that are under way may answer in either order.
    const before = last;
    let metrics: Metrics;
    try {
      metrics = await scrapeMetrics(admin, stop.signal);
    } catch (error) {
      if (error instanceof TypeError) unanswered++;
      else if (!stop.signal.aborted) note(String(error));
      return;
    }
    scrapes++;
    for (const prefix of ["leat_", "leat_replays_"] as const) {
      for (const [account, sum] of accountSums(metrics.samples, prefix)) {
        checks++;
        for (const problem of imbalance(sum)) note(`${prefix} ${account}: ${problem}`);
      }
    }
    const seen = summary(metrics);
    lives.add(seen.started);
    if (before !== null) for (const problem of setBack(before, seen)) note(problem);
    last = seen;
  };

  const timer = setInterval(() => {
    if (underWay.size >= MAX_UNDER_WAY) return;
    const one: Promise<void> = look().finally(() => underWay.delete(one));
    underWay.add(one);
  }, 1000 / perSecond);

  return {
    wrong,
    get scrapes() {
      return scrapes;
    },
    async stop() {
      clearInterval(timer);
      const late = setTimeout(() => stop.abort(), 2000);
      await Promise.all(underWay);
      clearTimeout(late);
      const seconds = (performance.now() - began) / 1000;
      return { scrapes, perSecond: round(scrapes / seconds), unanswered, lives: lives.size, checks };
    },
  };
}

/** What the next scrape is held against. */
interface Seen {
  /** When its process started: another number, another process. */
  readonly started: number;
  /** All that only grows, by name and labels. */
  readonly counters: ReadonlyMap<string, { readonly name: string; readonly value: number }>;
}

function summary({ samples, types }: Metrics): Seen {
  const counters = new Map<string, { name: string; value: number }>();
  let started = 0;
  for (const sample of samples) {
    const { name, value } = sample;
    if (name === "leat_start_time_seconds") started = value;
    if (grows(name, types)) counters.set(keyOf(sample), { name, value });
  }
  return { started, counters };
}

function grows(name: string, types: Metrics["types"]): boolean {
  if (types.get(name) === "counter") return true;
  const histogram = /^(.*)_(?:bucket|count)$/.exec(name)?.[1];
  return histogram !== undefined && types.get(histogram) === "histogram";
}

function keyOf({ name, labels }: Sample): string {
  return `${name}${JSON.stringify(labels)}`;
}

function imbalance({ accepted, parts, states, absurd }: AccountSum): string[] {
  const problems: string[] = [];
  if (accepted !== parts) problems.push(`accepted ${accepted}, but its states add up to ${parts}`);
  if (states % 8 !== 0) problems.push(`${states} states, not 8`);
  if (absurd) problems.push("a number below zero, or no whole one");
  return problems;
}

/** A series that is gone (its route is) begins anew when it comes back. */
function setBack(before: Seen, now: Seen): string[] {
  const problems: string[] = [];
  for (const [key, { name, value }] of before.counters) {
    const next = now.counters.get(key);
    if (next === undefined || next.value >= value) continue;
    if (now.started === before.started || DURABLE.test(name)) {
      problems.push(`${key} went from ${value} back to ${next.value}`);
    }
  }
  return problems;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
