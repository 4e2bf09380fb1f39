/**
 * Takes messages off one connection, and acknowledges them once they are on disk.
 *
 * Packets are read one at a time, and the next only when that is asked for; so each message is passed on to the journal and
 * the next one asked for at once, until as many are on their way as may be. Then the next packet is left unread: TCP makes
 * the broker wait. While nothing is read no answer to a ping is seen either, so the pings are ours
 * then: the broker must not think us dead, nor the library the broker.
 */
import type { IPublishPacket, MqttClient } from "mqtt";
import { acknowledge, type Next } from "../../brokers/mqtt/client.ts";
import type { SourceHost } from "../../component.ts";
import { createTaker, type Take } from "../take.ts";
import { Unsettled } from "../unsettled.ts";
import { arrivalOf } from "./arrival.ts";

/** Bodies on their way to the disk, all together; one that is larger goes alone. */
const MOST_BYTES = 32 * 1024 * 1024;
/** What a message costs beside its body: the packet as the library has parsed it. */
const PACKET_BYTES = 512;

/** Makes the library send no PUBACK and go on: we send it later. Never thrown, never shown. */
const DEFERRED = new Error("acknowledged once it is on disk");

export interface IntakeOptions {
  readonly receiveMaximum: number;
  readonly oversize: "refuse" | "hold";
  readonly keepaliveMs: number;
}

export class Intake {
  readonly #host: SourceHost;
  readonly #options: IntakeOptions;
  readonly #signal: AbortSignal;
  readonly #take: Take;
  /** By packet id: MQTT wants acknowledgements in the order of the messages (MQTT-4.6.0-2). Null where none is wanted (QoS 0). */
  readonly #unacked = new Unsettled<number | null>((packetIds) => this.#acknowledge(packetIds));
  #client: MqttClient | null = null;
  #ended = false;
  /** Being taken; and who waits for that to become none. */
  #taking = 0;
  #onNone: (() => void) | null = null;
  /** The packet that is left unread: how to go on, and how to stop the pings. */
  #held: { readonly next: Next; stopPings(): void } | null = null;
  /** A message is over the limit and is to stop the source. */
  #stuck = false;

  /** `signal` is of the connection's life. */
  constructor(host: SourceHost, options: IntakeOptions, signal: AbortSignal) {
    this.#host = host;
    this.#options = options;
    this.#signal = signal;
    const held = () => {
      this.#stuck = true;
    };
    this.#take = createTaker(host, { oversize: options.oversize, signal, held });
  }

  /** As `OpenOptions.onMessage`. */
  readonly onMessage = (client: MqttClient, packet: IPublishPacket, next: Next): void => {
    this.#client = client;
    // Not acknowledged, so it comes again in the session's next life.
    if (this.#ended) next(DEFERRED);
    else if (packet.qos === 2) this.#takeAlone(packet, next);
    else this.#takeOne(packet, next);
  };

  #takeOne(packet: IPublishPacket, next: Next): void {
    const arrival = arrivalOf(packet);
    const { byteLength } = arrival.body;
    const packetId = packet.qos === 0 ? null : (packet.messageId ?? null);
    const taken = this.#unacked.add(packetId, byteLength + PACKET_BYTES, 0);
    this.#passOn(this.#take(arrival, arrival.address), () => this.#unacked.settle(taken));
    if (this.#options.oversize === "hold" && byteLength > this.#host.maxEventBytes) this.#stuck = true;
    if (this.#stuck || this.#full) this.#hold(next);
    else next(DEFERRED);
  }

  /** Only a session that somebody else has subscribed for has such messages. The library acknowledges when it goes on. */
  #takeAlone(packet: IPublishPacket, next: Next): void {
    const arrival = arrivalOf(packet);
    this.#passOn(this.#take(arrival, arrival.address), () => next());
  }

  /** What isn't taken stays unacknowledged: the life is over, or the journal is lost and with it the process. */
  #passOn(take: ReturnType<Take>, taken: () => void): void {
    this.#taking++;
    take.then(() => {
      taken();
      this.#over();
    }, this.#over);
  }

  readonly #over = () => {
    this.#taking--;
    if (this.#taking === 0) this.#onNone?.();
  };

  #acknowledge(packetIds: readonly (number | null)[]): void {
    if (this.#client !== null) {
      acknowledge(
        this.#client,
        packetIds.filter((packetId) => packetId !== null),
      );
    }
    if (!this.#full) this.#readOn();
  }

  /** Nothing more should be read until something is acknowledged. */
  get #full(): boolean {
    return this.#unacked.count >= this.#options.receiveMaximum || this.#unacked.bytes >= MOST_BYTES;
  }

  #hold(next: Next): void {
    const { clock } = this.#host;
    const client = this.#client;
    let cancel = () => {};
    const ping = () => {
      if (client?.connected === true) {
        client.sendPing();
        client.reschedulePing(true);
      }
      cancel = clock.after(this.#options.keepaliveMs / 2, ping);
    };
    cancel = clock.after(this.#options.keepaliveMs / 2, ping);
    this.#held = { next, stopPings: () => cancel() };
  }

  #readOn(): void {
    const held = this.#held;
    if (held === null || (this.#stuck && !this.#ended)) return;
    this.#held = null;
    held.stopPings();
    held.next(DEFERRED);
  }

  /**
   * Takes nothing more. Where the source is stopping, resolves once what is being appended is acknowledged; where the
   * connection is over, at once.
   */
  async end(): Promise<void> {
    this.#ended = true;
    this.#readOn();
    if (this.#signal.aborted && this.#taking > 0) {
      await new Promise<void>((resolve) => {
        this.#onNone = resolve;
      });
    }
    this.#unacked.flush();
  }
}
