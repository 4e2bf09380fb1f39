/** Signed webhooks sent at a daemon, numbered, with a ledger of what was answered that is independent of the daemon's. */
import { createHmac } from "node:crypto";
import { Pool } from "undici";

export const LOAD_SECRET = "a-secret-that-both-ends-know";

/** The source that takes them, in flow style: `sources: { in: ${LOAD_SOURCE} }`. */
export function loadSource(more = ""): string {
  return `{ type: webhook, path: /in, verify: { type: github, secret: ${LOAD_SECRET} }, key: body.key${more} }`;
}

export interface LoadOptions {
  /** Of the daemon's public listener. */
  readonly url: string;
  /** Webhooks a second; null: as many as it takes. */
  readonly perSecond: number | null;
  /** Connections, and so webhooks under way at once. */
  readonly connections?: number;
  /** How many keys they have in turn; every sixth has none. */
  readonly keys?: number;
  /** Length of a body, about. */
  readonly bytes?: number;
  /** The first number; the others follow. */
  readonly from?: number;
}

export interface Load {
  /** The number that the next webhook will bear. */
  readonly next: number;
  /** How often each number was answered 2xx: once. */
  readonly promised: Tally;
  /** Answers that were no 2xx, and connections that were cut, by what they said. */
  readonly refused: ReadonlyMap<string, number>;
  /** Resolves when the last has its answer; may be called again. */
  stop(): Promise<void>;
}

export function startLoad(options: LoadOptions): Load {
  const { url, perSecond, connections = 16, keys = 20, bytes = 400, from = 0 } = options;
  const pool = new Pool(url, { connections, pipelining: 1 });
  const promised = new Tally();
  const refused = new Map<string, number>();
  const run = Math.random().toString(36).slice(2);
  const pad = "x".repeat(bytes);
  let next = from;
  let stopped = false;

  const send = async () => {
    const n = next++;
    const key = n % 6 === 0 ? null : `k${n % keys}`;
    const body = JSON.stringify({ n, key, at: Date.now(), pad });
    try {
      const response = await pool.request({
        path: "/in",
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-github-event": "push",
          "x-github-delivery": `${run}-${n}`,
          "x-hub-signature-256": `sha256=${createHmac("sha256", LOAD_SECRET).update(body).digest("hex")}`,
        },
        body,
      });
      const answer = await response.body.text();
      if (response.statusCode < 300) promised.add(n);
      else count(refused, `${response.statusCode} ${answer.slice(0, 200)}`);
    } catch (error) {
      count(refused, String(error));
    }
  };

  const underWay = new Set<Promise<void>>();
  const one = () => {
    const sent: Promise<void> = send().finally(() => underWay.delete(sent));
    underWay.add(sent);
    return sent;
  };
  const senders: Promise<void>[] = [];
  let timer: NodeJS.Timeout | null = null;
  if (perSecond === null) {
    const sender = async () => {
      while (!stopped) await one();
    };
    for (let at = 0; at < connections; at++) senders.push(sender());
  } else {
    const began = performance.now();
    // All connections from the beginning: one that is opened in a busy moment is no descriptor that the daemon leaks.
    for (let at = 0; at < connections; at++) void one();
    timer = setInterval(() => {
      const due = from + (performance.now() - began) * (perSecond / 1000);
      // What can't be sent in time is sent late, but never all at once.
      while (next < due && underWay.size < connections * 4) void one();
    }, 10);
  }

  let ended: Promise<void> | null = null;
  const end = async () => {
    stopped = true;
    if (timer !== null) clearInterval(timer);
    await Promise.all([...senders, ...underWay]);
    await pool.close();
  };
  return {
    promised,
    refused,
    get next() {
      return next;
    },
    stop: () => (ended ??= end()),
  };
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** How often each of many numbers was seen, up to 255 times, in one byte each. */
export class Tally {
  #times = new Uint8Array(1024);
  /** How many different numbers. */
  size = 0;
  /** How many in all, repeats included. */
  total = 0;

  add(n: number): void {
    if (n >= this.#times.length) {
      const larger = new Uint8Array(Math.max(n + 1, this.#times.length * 2));
      larger.set(this.#times);
      this.#times = larger;
    }
    const times = this.#times[n] ?? 0;
    if (times === 0) this.size++;
    if (times < 255) this.#times[n] = times + 1;
    this.total++;
  }

  times(n: number): number {
    return this.#times[n] ?? 0;
  }

  has(n: number): boolean {
    return this.times(n) > 0;
  }

  /** Those of `this` that `other` hasn't got; the first hundred. */
  missingIn(other: Tally): number[] {
    const missing: number[] = [];
    for (let n = 0; n < this.#times.length && missing.length < 100; n++) {
      if (this.has(n) && !other.has(n)) missing.push(n);
    }
    return missing;
  }
}

/** The number that a body of the load bears. */
export function numberOf(body: string): number {
  const found = /^\{"n":(\d+),/.exec(body)?.[1];
  if (found === undefined) throw new Error(`no body of the load: ${body.slice(0, 80)}`);
  return Number(found);
}
