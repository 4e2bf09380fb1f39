/** The outlets of one connection, by exchange: templates may name many, and a broker bounds its channels. */
import type { Client } from "../../brokers/rabbitmq/client.ts";
import { type Outlet, openOutlet } from "./outlet.ts";

/** RabbitMQ lets a connection have 2047 channels, unless its operator says less. */
const MOST = 64;

interface Open {
  readonly outlet: Promise<Outlet>;
  /** Deliveries that use it now. */
  users: number;
}

export class Outlets {
  readonly #client: Client;
  /** In the order of their last use. */
  readonly #open = new Map<string, Open>();

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * What `use` makes of the exchange's outlet, which is opened at its first use, and anew when its channel has ended.
   * Rejects with a BrokerError where it can't be opened.
   */
  async use<T>(exchange: string, use: (outlet: Outlet) => Promise<T>): Promise<T> {
    const open = this.#open.get(exchange) ?? this.#opened(exchange);
    open.users++;
    // Now it is the one used last.
    this.#open.delete(exchange);
    this.#open.set(exchange, open);
    if (this.#open.size > MOST) this.#closeIdle();
    try {
      return await use(await open.outlet);
    } finally {
      open.users--;
    }
  }

  #opened(exchange: string): Open {
    const open = { outlet: openOutlet(this.#client, exchange), users: 0 };
    const forget = () => {
      if (this.#open.get(exchange) === open) this.#open.delete(exchange);
    };
    open.outlet.then(({ over }) => over.then(forget), forget);
    return open;
  }

  /** Closes the one that was not used for longest, where there is one that isn't in use. */
  #closeIdle(): void {
    for (const [exchange, { outlet, users }] of this.#open) {
      if (users > 0) continue;
      this.#open.delete(exchange);
      outlet.then((idle) => idle.close()).catch(() => {});
      return;
    }
  }
}
