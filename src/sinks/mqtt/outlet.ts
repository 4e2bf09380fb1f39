/**
 * Publishing over one connection: as much at once as the broker takes, each told apart by its own confirm.
 *
 * What isn't confirmed when the connection ends is unknown: it is reported as failed, and sent again.
 */
import type { MqttClient } from "mqtt";
import type { Connection } from "../../brokers/mqtt/client.ts";
import type { BrokerError } from "../../brokers/supervise.ts";
import { Waiters } from "../../brokers/wait.ts";
import type { Report } from "../../component.ts";
import type { Publication } from "./publication.ts";

/** Unconfirmed at once, where the broker doesn't want less (its Receive Maximum). */
const MOST_UNCONFIRMED = 1_000;
/** From here on a reason code is a failure; below lie 0 and 16, nobody being subscribed. */
const FAILURE = 0x80;

const DELIVERED: Report = { result: "delivered" };

export interface OutletOptions {
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

export class Outlet {
  readonly #client: MqttClient;
  readonly #options: OutletOptions;
  readonly #slots: number;
  readonly #mostBytes: number;
  /** Published and not confirmed: what to call when the connection ends. */
  readonly #unconfirmed = new Set<(report: Report) => void>();
  /** Waiting for one of those to be confirmed. */
  readonly #waiters = new Waiters();
  /** Set once the connection is over. */
  #ended: Report | null = null;

  constructor({ client, connack, over }: Connection, options: OutletOptions) {
    const { receiveMaximum = MOST_UNCONFIRMED, maximumPacketSize = Number.POSITIVE_INFINITY } =
      connack.properties ?? {};
    this.#client = client;
    this.#options = options;
    this.#slots = Math.min(receiveMaximum, MOST_UNCONFIRMED);
    this.#mostBytes = maximumPacketSize;
    over.then(
      (why) => this.#end(why),
      () => {},
    );
  }

  /** The connection is over, or about to be: nothing more goes over it. */
  get over(): boolean {
    return this.#ended !== null || !this.#client.connected || this.#client.disconnecting;
  }

  async publish(publication: Publication, signal: AbortSignal): Promise<Report> {
    if (publication.bytes > this.#mostBytes) {
      return {
        result: "rejected",
        error: "too_large",
        message: `it makes a packet of ${publication.bytes} bytes, and the broker takes ${this.#mostBytes}`,
      };
    }
    while (this.#ended === null && !signal.aborted && this.#unconfirmed.size >= this.#slots) {
      await this.#waiters.wait(signal);
    }
    if (this.#ended !== null) return this.#ended;
    if (signal.aborted) return timeout("the broker confirmed none of those before it in time");
    return this.#send(publication, signal);
  }

  #send({ topic, payload, contentType, userProperties }: Publication, signal: AbortSignal): Promise<Report> {
    const { qos, retain } = this.#options;
    return new Promise((resolve) => {
      // The place is held until the broker confirms, though nobody may wait for it any more: it counts there as well.
      const settle = (report: Report) => {
        this.#unconfirmed.delete(settle);
        signal.removeEventListener("abort", late);
        resolve(report);
        this.#waiters.wakeOne();
      };
      const late = () => resolve(timeout("no confirm of the broker in time"));
      this.#unconfirmed.add(settle);
      signal.addEventListener("abort", late, { once: true });
      const properties =
        userProperties === null
          ? {}
          : { properties: { userProperties, ...(contentType === null ? {} : { contentType }) } };
      this.#client.publish(topic, payload, { qos, retain, ...properties }, (error) =>
        settle(error ? failure(error) : DELIVERED),
      );
    });
  }

  #end({ error, message }: BrokerError): void {
    this.#ended = { result: "failed", error, message: `unconfirmed when the connection ended: ${message}` };
    for (const settle of [...this.#unconfirmed]) settle(this.#ended);
    this.#waiters.wakeAll();
  }
}

function timeout(message: string): Report {
  return { result: "failed", error: "timeout", message };
}

/** A reason code is an answer of the broker's; without one it is the connection that failed. */
function failure(error: Error): Report {
  const code = "code" in error && typeof error.code === "number" ? error.code : null;
  if (code === null) {
    return { result: "failed", error: "closed", message: `the connection ended: ${error.message}` };
  }
  // What the library calls an error below 0x80 isn't one.
  if (code < FAILURE) return DELIVERED;
  const denied = code === 135;
  return {
    result: "failed",
    error: denied ? "forbidden" : "refused",
    message: denied
      ? "the broker doesn't let this user publish to the topic (reason code 135)"
      : `the broker refuses the message with reason code ${code}`,
    status: code,
  };
}
