/**
 * A listener: one address, and endpoints that a reload swaps under it while connections and open streams stay.
 * The public side and the admin side each have one. Why it is plain `node:http`: docs/adr/0002-node-http-listener.md.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type HttpEndpoint, isUpgradable, type UpgradableEndpoint } from "../component.ts";
import type { HttpLimits } from "../plan.ts";
import type { Logger } from "../ports.ts";
import { cannotListen, splitAddress } from "./address.ts";
import { answerError } from "./answer.ts";
import { expectContinue } from "./body.ts";
import { answerBrokenRequest, answerConnect } from "./broken-request.ts";
import { EndpointTable, type Found } from "./endpoints.ts";
import { countHosts } from "./host.ts";
import { mayLast } from "./lasting.ts";
import { pathOf } from "./target.ts";

/** How often Node looks for requests that are late: they may take so much longer. */
const CHECK_MS = 1000;

/** What most servers take at least; the query of a reader with many channels fits. */
const MAX_TARGET = 16 * 1024;

const DROP_TOLD_MS = 60_000;

/** Why a request goes to no endpoint. */
interface Misdirected {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export interface ListenerOptions {
  /** `host:port`, `[::1]:port`; port 0 takes any. */
  readonly address: string;
  readonly log: Logger;
  readonly limits: HttpLimits;
}

export class Listener {
  readonly #address: string;
  readonly #log: Logger;
  readonly #server: Server;
  /**
   * By connection, the responses that are under way. A set of all responses would be rehashed thousands of times a
   * second, and each table it leaves behind keeps answered requests alive until the next full collection.
   */
  readonly #connections = new Map<Socket, ServerResponse[]>();
  readonly #onResponseClose: (this: ServerResponse) => void;
  #endpoints = new EndpointTable([]);
  #stopping = false;
  #dropTold = false;

  constructor({ address, log, limits }: ListenerOptions) {
    this.#address = address;
    this.#log = log;
    this.#server = createServer({
      requestTimeout: limits.requestTimeoutMs,
      headersTimeout: limits.headersTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, limits.headersTimeoutMs),
      maxHeaderSize: limits.maxHeaderBytes,
      // Node's own answer to its absence is empty; ours is an error like all others.
      requireHostHeader: false,
      // Finds the clients of streams that vanished without a word.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      // Only for what will be taken over: anything else that asks (`h2c`) is answered as if it hadn't (RFC 9110, 7.8).
      shouldUpgradeCallback: (request) => this.#upgradable(request) !== null,
    });
    this.#server.maxRequestsPerSocket = limits.maxRequestsPerConnection;
    // Node would drop what is over 1,000 headers in silence; their bytes are bounded, and their number by the source.
    this.#server.maxHeadersCount = 0;
    if (limits.maxConnections !== null) this.#server.maxConnections = limits.maxConnections;

    const connections = this.#connections;
    const closeIdle = () => this.#server.closeIdleConnections();
    const stopping = () => this.#stopping;
    this.#onResponseClose = function onResponseClose() {
      const open = connections.get(this.req.socket);
      // Answers go out in the order of their requests: it is the first, unless the connection broke.
      if (open?.[0] === this) open.shift();
      else if (open !== undefined)
        connections.set(
          this.req.socket,
          open.filter((other) => other !== this),
        );
      if (stopping()) setImmediate(closeIdle);
    };
    this.#server.on("connection", (socket: Socket) => {
      connections.set(socket, []);
      socket.once("close", () => connections.delete(socket));
    });
    this.#server.on("request", (request, response) => this.#take(request, response));
    this.#server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      expectContinue(request);
      this.#take(request, response);
    });
    // Any other expectation than `100-continue` (RFC 9110, 10.1.1).
    this.#server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
      this.#follow(request, response);
      answerError(request, response, 417, "expectation", "Only `Expect: 100-continue` can be met here.");
    });
    this.#server.on("connect", (_request, socket) => {
      answerConnect(socket as Socket, connections.get(socket as Socket) ?? []);
    });
    this.#server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      this.#upgrade(request, socket, head);
    });
    this.#server.on("drop", () => this.#tellOfDrop());
    // Node answers 503 to what comes after `Connection: close`, and would go on doing so.
    this.#server.on("dropRequest", (_request, socket) => {
      setImmediate(() => (socket as Socket).destroySoon());
    });
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
      const responses = connections.get(socket as Socket) ?? [];
      // Said once of a request; Node looks for late ones again with the next.
      if (error.code === "ERR_HTTP_REQUEST_TIMEOUT" && responses.some(({ req }) => mayLast(req))) return;
      answerBrokenRequest(error, socket as Socket, responses);
    });
  }

  /** Replaces all endpoints at once. Requests that are under way stay with the endpoint they came to. */
  setEndpoints(endpoints: readonly HttpEndpoint[]): void {
    this.#endpoints = new EndpointTable(endpoints);
  }

  /** Listens, or rejects with a LeatError that says why it can't. */
  async start(): Promise<void> {
    const { host, port } = splitAddress(this.#address);
    await new Promise<void>((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => reject(cannotListen(this.#address, error));
      this.#server.once("error", onError);
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.removeListener("error", onError);
        // Such as EMFILE at an accept: told, and passing.
        this.#server.on("error", (err) => this.#log.error({ err }, "the listener had an error"));
        resolve();
      });
    });
  }

  /** Where it listens, with the port it got. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** Connections that are open now. */
  connections(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.getConnections((error, count) => resolve(error ? 0 : count));
    });
  }

  /**
   * Takes no connection more, closes those that are idle, and lets requests that are under way be answered, with
   * `Connection: close`. Streams are for their owner to end first; what is still open after `graceMs` is cut.
   */
  async stop(graceMs = 10_000): Promise<void> {
    if (!this.#server.listening) return;
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const responses of this.#connections.values()) {
      for (const response of responses) if (!response.headersSent) response.shouldKeepAlive = false;
    }
    const cut = setTimeout(() => {
      this.#server.closeAllConnections();
      // Those that speak another protocol now are no longer the server's.
      for (const socket of this.#connections.keys()) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(cut);
  }

  /** Keeps account of a response until it is closed. */
  #follow(request: IncomingMessage, response: ServerResponse): void {
    this.#connections.get(request.socket)?.push(response);
    response.on("close", this.#onResponseClose);
    response.on("error", ignore);
    if (this.#stopping) response.shouldKeepAlive = false;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    this.#follow(request, response);
    const found = this.#find(request);
    if ("status" in found) {
      answerError(request, response, found.status, found.code, found.message);
      return;
    }
    try {
      const handled = found.endpoint.handle(request, response, found.rest);
      if (handled !== undefined) handled.catch((error: unknown) => this.#failed(error, request, response));
    } catch (error) {
      this.#failed(error, request, response);
    }
  }

  #find({ url = "", rawHeaders, httpVersion }: IncomingMessage): Found | Misdirected {
    if (url.length > MAX_TARGET) {
      const message = `The request target is over ${MAX_TARGET} bytes.`;
      return { status: 414, code: "target_too_long", message };
    }
    const hosts = countHosts(rawHeaders);
    if (hosts > 1 || (hosts === 0 && httpVersion === "1.1")) {
      return { status: 400, code: "bad_host", message: "A request needs a Host header, and only one." };
    }
    const path = pathOf(url);
    if (path === null) return { status: 400, code: "bad_target", message: "The request target has no path." };
    return (
      this.#endpoints.find(path) ?? {
        status: 404,
        code: "not_found",
        message: "There is nothing at this path.",
      }
    );
  }

  /** The endpoint that will take the connection over; null where the request is one like any other. */
  #upgradable(request: IncomingMessage): UpgradableEndpoint | null {
    const { upgrade, "content-length": length, "transfer-encoding": encoding } = request.headers;
    if (upgrade === undefined || request.method !== "GET") return null;
    // A body would be read as the other protocol's first bytes.
    if (length !== undefined || encoding !== undefined) return null;
    const found = this.#find(request);
    if ("status" in found || !isUpgradable(found.endpoint)) return null;
    const asked = upgrade.split(",").map((protocol) => protocol.trim().toLowerCase());
    return asked.includes(found.endpoint.upgradesTo) ? found.endpoint : null;
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const endpoint = this.#upgradable(request);
    // Asked for behind a request that is still being answered: the answer would go out amid the other protocol.
    const busy = (this.#connections.get(socket)?.length ?? 0) > 0;
    if (endpoint === null || busy) {
      socket.on("error", ignore);
      socket.destroy();
      return;
    }
    endpoint.upgrade(request, socket, head);
  }

  /** Once in a while: it may be an attack, which mustn't fill the log. */
  #tellOfDrop(): void {
    if (this.#dropTold) return;
    this.#dropTold = true;
    setTimeout(() => {
      this.#dropTold = false;
    }, DROP_TOLD_MS).unref();
    this.#log.warn(
      { connections: this.#server.maxConnections },
      "connections are turned away: there are too many",
    );
  }

  /** A defect in an endpoint: this request's answer is lost, nothing else. */
  #failed(err: unknown, request: IncomingMessage, response: ServerResponse): void {
    this.#log.error({ err, path: pathOf(request.url ?? "") }, "an endpoint failed");
    if (response.headersSent) response.destroy();
    else answerError(request, response, 500, "internal", "An error inside Leat; its log says more.");
  }
}

export function createListener(options: ListenerOptions): Listener {
  return new Listener(options);
}

function ignore(): void {}
