/**
 * One connection to a RabbitMQ, over amqplib's plain `connect`: its own recovery hangs after a cut during set-up and never
 * mends a channel, so each life of a connection is `supervise`'s to begin anew.
 *
 * amqplib throws an error that nobody listens for, and leaves a socket open whose peer is silent. So listeners are set
 * before anything is awaited, and the socket has a signal of its own that destroys it in any state.
 */
import type { Channel, ChannelModel, ConfirmChannel, SocketOptions } from "amqplib";
import type { Clock } from "../../ports.ts";
import { version } from "../../version.ts";
import type { BrokerError } from "../supervise.ts";
import { tlsOptions } from "../tls.ts";
import type { RabbitmqConnectionConfig } from "./connection.ts";
import { channelFailure, connectionFailure, type Doing } from "./failure.ts";
import { keepRawProperties } from "./raw-properties.ts";
import { type BrokerAddress, parseAddress } from "./url.ts";

/** From the first packet to an open connection. */
const CONNECT_MS = 10_000;
/** For a goodbye, to us or from us. */
const CLOSE_MS = 2_000;

export interface Client {
  readonly model: ChannelModel;
  /** Resolves with why, once the connection has ended. */
  readonly over: Promise<BrokerError>;
  /** The same at once, as a channel's end doesn't tell it; null while it is open. */
  readonly why: BrokerError | null;
  /** Ends it: politely where the broker answers, and within 2 s in any case. Never rejects. */
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly config: RabbitmqConnectionConfig;
  /** Counts the lives: each tries the next URL. */
  readonly turn: number;
  /** Shown among the broker's connections. */
  readonly name: string;
  readonly clock: Clock;
  /** Gives up connecting. An open connection is ended by `close`. */
  readonly signal: AbortSignal;
}

/** Resolves once the connection is open. Rejects with a BrokerError. The library is loaded for the first one. */
export async function openClient(options: OpenOptions): Promise<Client> {
  const { config, turn, clock, signal } = options;
  const { connect } = await import("amqplib");
  const socket = new AbortController();
  const destroy = () => socket.abort();
  const cancel = clock.after(CONNECT_MS, destroy);
  signal.addEventListener("abort", destroy);
  if (signal.aborted) destroy();
  try {
    const address = parseAddress(config.url[turn % config.url.length] as string);
    const model = await connect(connectOptions(address, config), socketOptions(options, socket.signal));
    keepRawProperties(model);
    return watched(model, clock, destroy);
  } catch (cause) {
    throw connectionFailure(cause);
  } finally {
    cancel();
    signal.removeEventListener("abort", destroy);
  }
}

function connectOptions(address: BrokerAddress, config: RabbitmqConnectionConfig) {
  const { protocol, hostname, port } = address;
  return {
    protocol,
    hostname,
    port,
    username: config.username ?? address.username ?? "guest",
    password: config.password ?? address.password ?? "guest",
    // amqplib takes the escapes of a URL out of it, although it isn't one here.
    vhost: encodeURIComponent(config.vhost ?? address.vhost ?? "/"),
    heartbeat: config.heartbeat / 1_000,
  };
}

function socketOptions({ config, name }: OpenOptions, signal: AbortSignal): SocketOptions {
  const options: SocketOptions = {
    noDelay: true,
    keepAlive: true,
    clientProperties: { product: "Leat", version, connection_name: name },
  };
  return Object.assign(options, config.tls === undefined ? {} : tlsOptions(config.tls), { signal });
}

function watched(model: ChannelModel, clock: Clock, destroy: () => void): Client {
  const { promise: over, resolve } = Promise.withResolvers<BrokerError>();
  let first: unknown;
  let why: BrokerError | null = null;
  model.on("error", (error) => (first ??= error));
  model.on("close", (error) => {
    why = connectionFailure(first ?? error);
    resolve(why);
    // The rest of a goodbye may still be under way; a peer that is silent never ends its side.
    clock.after(CLOSE_MS, destroy);
  });
  return {
    model,
    over,
    get why() {
      return why;
    },
    async close() {
      const cancel = clock.after(CLOSE_MS, destroy);
      // Its promise never settles where the connection is cut before the broker's answer.
      await Promise.race([model.close().catch(() => {}), over]);
      cancel();
      destroy();
    },
  };
}

/** Resolves once the channel has ended, with why. */
export function channelOver(channel: Channel | ConfirmChannel, doing: Doing): Promise<BrokerError> {
  let first: unknown;
  return new Promise((resolve) => {
    channel.on("error", (error) => (first ??= error));
    channel.on("close", () => resolve(channelFailure(first, doing)));
  });
}
