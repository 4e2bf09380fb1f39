/** A kafkajs client of a connection: made for one life, and ended whatever state it is in. */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Kafka, KafkaConfig, LogEntry } from "kafkajs";
import type { Logger } from "../../ports.ts";
import { tlsOptions } from "../tls.ts";
import { bootstrapList, type KafkaConnection } from "./connection.ts";
import { kafkajs } from "./library.ts";

export interface Client {
  readonly kafka: Kafka;
  /** For people: the brokers it began with. */
  readonly where: string;
  /** Cuts every connection it has and makes no more, so that whatever still waits for an answer gets an error. */
  destroy(): void;
}

const CONNECT_MS = 5_000;
/** Of a broker that is silent: after so long a request counts as failed. */
export const REQUEST_MS = 30_000;
const KEEP_ALIVE_MS = 30_000;

/**
 * kafkajs' own retries are kept short: they are for what heals within a second (a leader moves, a group is between two
 * generations). What takes longer is the supervisor's.
 */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 };

export interface ClientOptions {
  readonly log: Logger;
  /** None: a failure is told at once. */
  readonly retries?: number;
  /** Told of each line that the library logs, the least of them too: some things it says nowhere else. */
  readonly logged?: (entry: LogEntry) => void;
  /** Told when its last connection is gone, of which kafkajs says nothing before it is used again. */
  readonly alone?: () => void;
}

export function openClient(
  connection: KafkaConnection,
  { log, retries, logged, alone }: ClientOptions,
): Client {
  const { Kafka, logLevel } = kafkajs();
  const { client_id: clientId, sasl, tls } = connection;
  const brokers = bootstrapList(connection);
  const sockets = new Set<Socket>();
  let destroyed = false;
  const config: KafkaConfig = {
    brokers,
    clientId,
    connectionTimeout: CONNECT_MS,
    authenticationTimeout: CONNECT_MS,
    requestTimeout: REQUEST_MS,
    retry: retries === undefined ? RETRY : { ...RETRY, retries },
    logLevel: logged === undefined ? logLevel.INFO : logLevel.DEBUG,
    // Its errors come to us as errors too; which of them counts, we say.
    logCreator: () => (entry) => {
      logged?.(entry);
      log.trace({ namespace: entry.namespace, kafkajs: entry.log.message }, "the Kafka client says");
    },
    // Its own keeps no hold on the socket, and a client that waits for a silent broker could then not be ended.
    socketFactory: ({ host, port, ssl, onConnect }) => {
      if (destroyed) throw new Error("the client has ended");
      const name = isIP(host) === 0 ? { servername: host } : {};
      const socket = ssl
        ? connectTls({ host, port, ...name, ...ssl }, onConnect)
        : connectTcp({ host, port, noDelay: true }, onConnect);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      sockets.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        if (sockets.size === 0 && !destroyed) alone?.();
      });
      return socket;
    },
  };
  if (tls === true) config.ssl = true;
  else if (tls !== false) config.ssl = tlsOptions(tls);
  if (sasl) {
    const { type: mechanism, user: username, password } = sasl;
    config.sasl = { mechanism, username, password } as NonNullable<KafkaConfig["sasl"]>;
  }
  return {
    kafka: new Kafka(config),
    where: brokers.join(","),
    destroy() {
      destroyed = true;
      // With an error: kafkajs hears nothing of a socket that just closes.
      for (const socket of sockets) socket.destroy(new Error("ended by us"));
    },
  };
}
