/** What the fault tests need of a broker's protocol, whichever it is. */

import type { TcpProxy } from "../../brokers/proxy.ts";
import type { Broker } from "../../brokers/server-process.ts";

/** What an outside reader found at the place where Leat's sink writes. */
export interface Read {
  /** From the body: what the sender called it. */
  readonly id: string;
  /** From the `leat-id` header, or user property. */
  readonly leatId: string;
}

/** The topics, or queues: `out` has the outside reader. */
export const NAMES = ["in", "out", "there", "back"] as const;
export type Name = (typeof NAMES)[number];

/**
 * A broker of its own with a place that Leat reads and one that it writes, an outside sender to the first and an outside
 * reader of the second. Leat comes through `proxy`, they don't.
 */
export interface Place {
  readonly broker: Broker;
  readonly proxy: TcpProxy;
  /** YAML (flow style) of a source of Leat's that reads one of its topics or queues, and of a sink that writes one. */
  source(from: Name, more?: string): string;
  sink(to: Name): string;
  /** Sends `{"id": …}`. Resolves once the broker has confirmed it; a rejection says nothing about what became of it. */
  send(id: string, to?: Name): Promise<void>;
  /** What came into `out`; grows while it is open. */
  readonly read: readonly Read[];
  close(): Promise<void>;
}

export interface Family {
  readonly name: "kafka" | "mqtt" | "rabbitmq";
  open(): Promise<Place>;
}

/** An outside client that may fail while the broker is away: made anew by the next who needs it. */
export class Renewed<T> {
  readonly #open: () => Promise<T>;
  readonly #end: (client: T) => Promise<unknown>;
  #client: Promise<T> | null = null;

  constructor(open: () => Promise<T>, end: (client: T) => Promise<unknown>) {
    this.#open = open;
    this.#end = end;
  }

  /** Runs `use` with the client; where that fails, the next one gets a new client. */
  async with<R>(use: (client: T) => Promise<R>): Promise<R> {
    const client = (this.#client ??= this.#open());
    try {
      return await use(await client);
    } catch (error) {
      if (this.#client === client) {
        this.#client = null;
        await this.#discard(client);
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#client !== null) await this.#discard(this.#client);
    this.#client = null;
  }

  async #discard(client: Promise<T>): Promise<void> {
    await client.then(this.#end).catch(() => {});
  }
}

/** Rejects after `ms`. The outside clients have no such limit of their own, and a frozen broker answers nobody. */
export function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
