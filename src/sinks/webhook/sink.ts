/**
 * The `webhook` sink: one HTTP request for each delivery; a 2xx is a yes, everything else is not.
 *
 * Redirects are not followed: they would take signed events to hosts that nobody configured.
 */
import { Pool } from "undici";
import type { Message, PushedSink, PushedSinkHost, PushedSinkType, Report } from "../../component.ts";
import { AddressBook } from "./address.ts";
import { type WebhookConfig, webhookSchema } from "./config.ts";
import { createConnector } from "./connect.ts";
import { Exchange } from "./exchange.ts";
import { RequestHeaders, UnsendableHeader } from "./request-headers.ts";

/** A shorter hint of the receiver's wins; a longer one would meet its restarts with stale sockets. */
const KEEP_ALIVE_MOST_MS = 60_000;

class WebhookSink implements PushedSink {
  readonly #config: WebhookConfig;
  readonly #host: PushedSinkHost;
  readonly #addresses: AddressBook;
  readonly #headers: RequestHeaders;
  readonly #connect: ReturnType<typeof createConnector>;
  /** By origin: the sink's own, and those that routes name in its place. */
  readonly #pools = new Map<string, Pool>();

  constructor(config: WebhookConfig, host: PushedSinkHost) {
    this.#config = config;
    this.#host = host;
    this.#addresses = new AddressBook(config);
    this.#headers = new RequestHeaders(config);
    this.#connect = createConnector(config.tls, config.addresses);
  }

  async start(): Promise<void> {}

  deliver(message: Message, signal: AbortSignal): Promise<Report> {
    const { method, reply } = this.#config;
    const now = this.#host.clock.wall();
    let headers: string[];
    try {
      headers = this.#headers.of(message, now);
    } catch (error) {
      if (!(error instanceof UnsendableHeader)) throw error;
      return Promise.resolve({ result: "rejected", error: "unsendable", message: error.message });
    }
    const { origin, path } = this.#addresses.of(message, this.#config);
    const constantUrl = this.#addresses.own?.origin === origin && this.#addresses.own.path === path;
    const exchange = new Exchange({ reply, constantUrl, keep: this.#host.answerBytes, now, signal });
    if (!exchange.done) this.#pool(origin).dispatch({ method, path, headers, body: message.body }, exchange);
    return exchange.report;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }

  /** Opens as many connections as there are deliveries at once, which the sink's `concurrency` bounds. */
  #pool(origin: string): Pool {
    let pool = this.#pools.get(origin);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connect: this.#connect,
        pipelining: 1,
        // The attempt's own deadline counts over all of it; undici's would count from each chunk anew.
        headersTimeout: 0,
        bodyTimeout: 0,
        keepAliveMaxTimeout: KEEP_ALIVE_MOST_MS,
      });
      this.#pools.set(origin, pool);
    }
    return pool;
  }
}

export const webhookSink: PushedSinkType<WebhookConfig> = {
  kind: "pushed",
  type: "webhook",
  description: "Sends each event as an HTTP request, signed if you like, and takes a 2xx for a yes.",
  schema: webhookSchema,
  templates: ["url", "path", "query"],
  givesBack: (config) => config.reply,
  create: (config, host) => new WebhookSink(config, host),
};
