/** How many messages wait in the queue, asked now and then while it is consumed. */
import type { Channel } from "amqplib";
import type { Clock } from "../../ports.ts";

const ASK_MS = 5_000;

export class Lag {
  readonly #queue: string;
  readonly #clock: Clock;
  #channel: Channel | null = null;
  #ready: number | null = null;
  #cancel: () => void = () => {};

  constructor(queue: string, clock: Clock) {
    this.#queue = queue;
    this.#clock = clock;
  }

  /** Messages that are ready for a consumer, those in hand not among them; null while unknown. */
  get ready(): number | null {
    return this.#ready;
  }

  watch(channel: Channel): void {
    this.#cancel();
    this.#channel = channel;
    // A queue that is gone closes the channel, which is its consumer's to see.
    channel.checkQueue(this.#queue).then(
      ({ messageCount }) => {
        if (this.#channel !== channel) return;
        this.#ready = messageCount;
        this.#cancel = this.#clock.after(ASK_MS, () => this.watch(channel));
      },
      () => {},
    );
  }

  forget(): void {
    this.#cancel();
    this.#cancel = () => {};
    this.#channel = null;
    this.#ready = null;
  }
}
