/**
 * One connection to an MQTT broker, for one life of a source or a sink (`supervise.ts`).
 *
 * A client of the library lives as long as one connection and no longer: it never connects again by itself, nothing is
 * queued in it while there is no connection, and nothing is left in it that could go to another connection, where the
 * same packet ids mean other messages.
 */
import { Duplex } from "node:stream";
import type { IClientOptions, IConnackPacket, IPublishPacket, MqttClient } from "mqtt";
import type { Clock } from "../../ports.ts";
import type { BrokerError } from "../supervise.ts";
import { tlsOptions } from "../tls.ts";
import type { MqttConnectionConfig } from "./connection.ts";
import { type OnPublish, PublishReader } from "./publish-reader.ts";
import { brokenBy, refusedFor } from "./reason.ts";

/** TCP, TLS and CONNACK together. */
const CONNECT_MS = 10_000;
/** For a DISCONNECT to go out and the broker to close; then the socket is destroyed. */
const CLOSE_MS = 2_000;

/** Called when the packet is dealt with: the next one is looked at only then. `deferred`: no acknowledgement is sent now. */
export type Next = (deferred?: Error) => void;

export interface OpenOptions {
  readonly clientId: string;
  /** How long the broker keeps the session without us, in seconds; 0: it is new each time and kept not at all. */
  readonly sessionSeconds: number;
  /** How many messages the broker may have sent that aren't acknowledged; 5 only. */
  readonly receiveMaximum?: number;
  readonly clock: Clock;
  onMessage?(client: MqttClient, packet: IPublishPacket, next: Next): void;
}

export interface Connection {
  readonly client: MqttClient;
  readonly connack: IConnackPacket;
  /** Resolves with why it ended. Never rejects. */
  readonly over: Promise<BrokerError>;
  /** Says good-bye after what was written, and closes; resolves when the socket is closed. The broker keeps the session. */
  close(): Promise<void>;
}

/** A PUBACK without reason code and properties, which says success: 4 bytes in either version (5: 3.4.2.1). */
const PUBACK = 0x40_02_00_00;
const PUBACK_BYTES = 4;

/**
 * Acknowledges QoS 1 messages, all in one write. The library would do it at once; we do when they are on disk. And it
 * would write each by itself, and keep them without a connection, for one where the same ids are other messages.
 */
export function acknowledge({ connected, stream }: MqttClient, packetIds: readonly number[]): void {
  if (!connected || !stream.writable || packetIds.length === 0) return;
  const packets = Buffer.allocUnsafe(packetIds.length * PUBACK_BYTES);
  for (const [n, packetId] of packetIds.entries()) packets.writeUInt32BE(PUBACK + packetId, n * PUBACK_BYTES);
  stream.write(packets);
}

/** Rejects with a BrokerError; nothing is left open then. The library is loaded for the first one. */
export async function openConnection(
  config: MqttConnectionConfig,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<Connection> {
  const { connect } = await import("mqtt");
  const client = connect({ ...clientOptions(config, options), manualConnect: true });
  const { onMessage } = options;
  if (onMessage !== undefined) {
    client.handleMessage = (packet, next) => onMessage(client, packet, next as Next);
    readPlain(client, config.version, (packet, next) => onMessage(client, packet, next));
  }
  client.connect();
  const over = endOf(client);
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  const abort = () => client.end(true);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  client.once("connect", (connack) => {
    signal.removeEventListener("abort", abort);
    resolve({ client, connack, over, close: () => close(client, over, options.clock) });
  });
  over.then((why) => {
    signal.removeEventListener("abort", abort);
    reject(why);
  }, reject);
  return promise;
}

/** Of the library's client, not among its types: opens what reaches the broker, which it then pipes into its parser. */
interface Opens {
  streamBuilder: (client: MqttClient) => Duplex;
}

/** Puts a reader of ours between the broker and the library's parser, before they are connected. */
function readPlain(client: MqttClient, version: 5 | "3.1.1", onPublish: OnPublish): void {
  const opens = client as unknown as Opens;
  const open = opens.streamBuilder;
  opens.streamBuilder = (each) => {
    const stream = open(each);
    stream.pipe = (parser) => {
      Duplex.prototype.pipe.call(stream, new PublishReader(parser, version, onPublish));
      return parser;
    };
    return stream;
  };
}

/** Resolves once the socket is closed; an error of any kind ends it, for what comes behind one can't be trusted. */
function endOf(client: MqttClient): Promise<BrokerError> {
  return new Promise((resolve) => {
    let why: Error | null = null;
    client.on("error", (error) => {
      why ??= error;
      client.end(true);
    });
    client.on("disconnect", ({ reasonCode = 0, properties }) => {
      why ??= refusedFor(reasonCode, properties?.reasonString);
    });
    client.on("close", () => {
      client.end(true);
      resolve(brokenBy(why));
    });
  });
}

async function close(client: MqttClient, over: Promise<BrokerError>, clock: Clock): Promise<void> {
  client.end(false);
  const cancel = clock.after(CLOSE_MS, () => client.stream.destroy());
  await over;
  cancel();
}

function clientOptions(config: MqttConnectionConfig, options: OpenOptions): IClientOptions {
  const { protocol, hostname, port, pathname } = new URL(config.url);
  const { clientId, sessionSeconds, receiveMaximum } = options;
  const webSocket = protocol.startsWith("ws");
  const tls = config.tls === undefined ? {} : (tlsOptions(config.tls) as IClientOptions);
  return {
    protocol: protocol.slice(0, -1) as "mqtt" | "mqtts" | "ws" | "wss",
    // A URL has an IPv6 address in brackets, which a socket doesn't want.
    hostname: webSocket ? hostname : hostname.replace(/^\[|\]$/g, ""),
    ...(port === "" ? {} : { port: Number(port) }),
    ...(webSocket ? { path: pathname, wsOptions: tls } : tls),
    protocolVersion: config.version === 5 ? 5 : 4,
    clientId,
    clean: sessionSeconds === 0,
    keepalive: config.keepalive / 1000,
    connectTimeout: CONNECT_MS,
    // One life, one connection: see above.
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    // Its own asks at each of a dozen steps of a message whether anybody listens.
    log: () => {},
    ...(config.username === undefined ? {} : { username: config.username }),
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(config.version === 5
      ? {
          properties: {
            sessionExpiryInterval: sessionSeconds,
            ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
          },
        }
      : {}),
  };
}
