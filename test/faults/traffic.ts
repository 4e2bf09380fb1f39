/**
 * Senders that keep an independent ledger of what they were told yes to. Events are sent at a rate, whatever the answers
 * take, so that a daemon that stalls is seen to stall and not merely asked less often.
 */
import { randomUUID } from "node:crypto";
import { Agent, request } from "undici";

/** What is sent: JSON that begins with these fields, so that a receiver need only look at its head; `x-id` has the id too. */
export interface Sent {
  readonly id: string;
  readonly key: string;
  /** Counts up by one an event, over all keys. */
  readonly n: number;
  /** When it was sent, `performance.now()` of this process. */
  readonly at: number;
}

export interface Promised extends Sent {
  readonly seq: number;
  /** It was a duplicate of one that had been taken before. */
  readonly duplicate: boolean;
}

export interface TrafficOptions {
  readonly url: string;
  readonly perSecond: number;
  readonly headers?: (body: string) => Readonly<Record<string, string>>;
  /** Events take the keys k0, k1, … in turn; without it each has one of its own. */
  readonly keys?: number;
  /** How long an event is made, in bytes. */
  readonly bytes?: number;
}

export interface Traffic {
  /** Each event that was answered 2xx. */
  readonly promised: ReadonlyMap<string, Promised>;
  /** Other answers by status; `cut` where none came. */
  readonly refused: ReadonlyMap<string, number>;
  /** The same, one by one: when it was sent, and how long it took until it was refused, in ms. */
  readonly refusals: readonly Timed[];
  /** Of each event that was answered 2xx: when it was sent, and how long its answer took, in ms. */
  readonly answers: readonly Timed[];
  readonly sent: number;
  /** Sends no more; resolves when all are answered. May be called again. */
  stop(): Promise<void>;
}

export interface Timed {
  readonly at: number;
  readonly ms: number;
}

const EVERY_MS = 5;
const SOCKETS = 64;

export function startTraffic({ url, perSecond, headers, keys, bytes = 0 }: TrafficOptions): Traffic {
  const agent = new Agent({ connections: SOCKETS, pipelining: 1, headersTimeout: 120_000 });
  const promised = new Map<string, Promised>();
  const refused = new Map<string, number>();
  const [answers, refusals]: [Timed[], Timed[]] = [[], []];
  const underWay = new Set<Promise<void>>();
  const begun = performance.now();
  const pad = "x".repeat(bytes);
  let sent = 0;
  let stopped: Promise<void> | null = null;

  const send = async (n: number) => {
    const at = performance.now();
    const event: Sent = { id: randomUUID(), key: keys === undefined ? `k${n}` : `k${n % keys}`, n, at };
    const body = JSON.stringify({ ...event, pad });
    try {
      const response = await request(url, {
        dispatcher: agent,
        method: "POST",
        headers: { "content-type": "application/json", "x-id": event.id, ...headers?.(body) },
        body,
      });
      const answer = await response.body.text();
      if (response.statusCode !== 200) return refuse(String(response.statusCode), at);
      const { seq, duplicate = false } = JSON.parse(answer) as { seq: number; duplicate?: boolean };
      promised.set(event.id, { ...event, seq, duplicate });
      answers.push({ at, ms: performance.now() - at });
    } catch {
      refuse("cut", at);
    }
  };
  const refuse = (how: string, at: number) => {
    refused.set(how, (refused.get(how) ?? 0) + 1);
    refusals.push({ at, ms: performance.now() - at });
  };

  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begun) / 1000) * perSecond);
    while (sent < due) {
      const flight: Promise<void> = send(sent++).finally(() => underWay.delete(flight));
      underWay.add(flight);
    }
  }, EVERY_MS);

  return {
    promised,
    refused,
    refusals,
    answers,
    get sent() {
      return sent;
    },
    stop() {
      clearInterval(timer);
      stopped ??= Promise.all(underWay).then(() => agent.close());
      return stopped;
    },
  };
}

/** The value below which a share `q` (0 to 1) of them lie; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** Of what was timed between two moments, in ms with a digit behind the point. */
export function quantileBetween(timed: readonly Timed[], from: number, to: number, q: number): number {
  const ms = timed.filter(({ at }) => at >= from && at < to).map((one) => one.ms);
  return Math.round(quantile(ms, q) * 10) / 10;
}

/** From a kill, which cuts what is under way, until it is ready again; `performance.now()` of this process. */
export interface Down {
  readonly from: number;
  readonly to: number;
}

/** Those that were refused at another time than when there was nobody to take them: none, or the senders were let down. */
export function refusedWhileUp({ refusals }: Traffic, downs: readonly Down[]): Timed[] {
  return refusals.filter(({ at, ms }) => !downs.some(({ from, to }) => at <= to && at + ms >= from));
}

/** For a ledger: `200: 12, cut: 3`, or `none`. */
export function tally(counts: ReadonlyMap<string, number>): string {
  const parts = [...counts].map(([what, count]) => `${count} x ${what}`);
  return parts.length === 0 ? "none" : parts.join(" + ");
}
