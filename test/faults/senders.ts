/**
 * Senders that don't give up: each has a key of its own and sends its events one after the other, the same one again
 * under its id until it is answered 2xx. What they were told yes to is the ledger; by key it is also an order.
 */
import { Agent, request } from "undici";
import type { Sent } from "./traffic.ts";

export interface SendersOptions {
  readonly url: string;
  readonly senders?: number;
  /** Goes into every id, so that several runs can share a journal. */
  readonly prefix?: string;
  /** How long an event is made, in bytes. */
  readonly bytes?: number;
  /** Waits so long after a no, in ms. */
  readonly patience?: number;
}

export interface Senders {
  /** Each event that was answered 2xx, by its id, with its seq. */
  readonly promised: ReadonlyMap<string, Sent & { readonly seq: number }>;
  /** Times that a 2xx said *duplicate*: the try before had been cut, but was on disk. */
  readonly duplicates: number;
  /** Answers other than 2xx by status; `cut` where none came. */
  readonly refused: ReadonlyMap<string, number>;
  /** Runs for every 2xx. */
  onPromise(listener: (sent: Sent & { readonly seq: number }) => void): void;
  /** Sends no more; resolves when nothing is under way. */
  stop(): Promise<void>;
}

export function startSenders({
  url,
  senders = 16,
  prefix = "s",
  bytes = 300,
  patience = 50,
}: SendersOptions): Senders {
  const agent = new Agent({ connections: senders, pipelining: 1, headersTimeout: 20_000 });
  const promised = new Map<string, Sent & { seq: number }>();
  const refused = new Map<string, number>();
  const listeners: ((sent: Sent & { seq: number }) => void)[] = [];
  const pad = "x".repeat(bytes);
  let duplicates = 0;
  let stopped = false;

  /** The answer's body; null: it was no yes. */
  const post = async (body: string): Promise<{ seq: number; duplicate?: boolean } | null> => {
    let status = "cut";
    try {
      const headers = { "content-type": "application/json" };
      const response = await request(url, { dispatcher: agent, method: "POST", headers, body });
      status = String(response.statusCode);
      const text = await response.body.text();
      if (status === "200") return JSON.parse(text);
    } catch {
      status = "cut";
    }
    refused.set(status, (refused.get(status) ?? 0) + 1);
    return null;
  };

  const sender = async (key: string) => {
    for (let n = 0; !stopped; n++) {
      const sent: Sent = { id: `${key}-${n}`, key, n, at: performance.now() };
      const body = JSON.stringify({ ...sent, pad });
      while (!stopped) {
        const yes = await post(body);
        if (yes !== null) {
          if (yes.duplicate === true) duplicates++;
          const promise = { ...sent, seq: yes.seq };
          promised.set(sent.id, promise);
          for (const listener of listeners) listener(promise);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, patience));
      }
    }
  };
  const running = Promise.all(Array.from({ length: senders }, (_, index) => sender(`${prefix}${index}`)));

  return {
    promised,
    refused,
    get duplicates() {
      return duplicates;
    },
    onPromise: (listener) => listeners.push(listener),
    async stop() {
      stopped = true;
      await running;
      if (!agent.closed) await agent.close();
    },
  };
}
