/** The outlets of one connection, by exchange: templates may name many, and a broker bounds its channels. */
import type { Client } from "../../brokers/rabbitmq/client.ts";
import { type Outlet, openOutlet } from "./outlet.ts";

/** RabbitMQ lets a connection have 2047 channels, unless its operator says less. */
const MOST = 64;

export class Outlets {
  readonly #client: Client;
  /** In the order of their last use. */
  readonly #open = new Map<string, Promise<Outlet>>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Opens it at its first use, and anew when its channel has ended. Rejects with a BrokerError. */
  async get(exchange: string): Promise<Outlet> {
    const known = this.#open.get(exchange);
    const outlet = known ?? this.#opened(exchange);
    this.#open.delete(exchange);
    this.#open.set(exchange, outlet);
    if (known === undefined) await this.#closeIdle();
    return outlet;
  }

  #opened(exchange: string): Promise<Outlet> {
    const outlet = openOutlet(this.#client, exchange);
    const forget = () => {
      if (this.#open.get(exchange) === outlet) this.#open.delete(exchange);
    };
    outlet.then(({ over }) => over.then(forget), forget);
    return outlet;
  }

  /** Closes the one that was not used for longest, where there are too many. */
  async #closeIdle(): Promise<void> {
    if (this.#open.size <= MOST) return;
    for (const [exchange, opening] of this.#open) {
      const outlet = await opening.catch(() => null);
      if (outlet?.idle !== true) continue;
      this.#open.delete(exchange);
      await outlet.close();
      return;
    }
  }
}
