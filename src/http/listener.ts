/**
 * A listener: one address, and endpoints that a reload swaps under it while connections and open streams stay.
 * The public side and the admin side each have one. Why it is plain `node:http`: docs/adr/0002-node-http-listener.md.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { HttpEndpoint } from "../component.ts";
import { LeatError } from "../errors.ts";
import type { Logger } from "../ports.ts";
import { answerError } from "./answer.ts";
import { expectContinue } from "./body.ts";
import { answerBrokenRequest } from "./broken-request.ts";
import { EndpointTable } from "./endpoints.ts";
import { pathOf } from "./target.ts";

/** Bounds on what clients may take of us. */
export interface HttpLimits {
  /** For a whole request to arrive; an answer may take as long as it likes (streams). */
  readonly requestTimeoutMs: number;
  /** For its headers alone. */
  readonly headersTimeoutMs: number;
  /** For the next request on a connection. Above the 60 s of the usual load balancers, so that they close first. */
  readonly keepAliveTimeoutMs: number;
  /** Of the request line and all headers together. */
  readonly maxHeaderBytes: number;
  /** Then the connection is closed after the answer; bounds what one client can pipeline. 0: no bound. */
  readonly maxRequestsPerConnection: number;
  /** Null: no bound but the system's. */
  readonly maxConnections: number | null;
}

const HTTP_LIMITS: HttpLimits = {
  requestTimeoutMs: 15_000,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 72_000,
  maxHeaderBytes: 80 * 1024,
  maxRequestsPerConnection: 1000,
  maxConnections: null,
};

/** How often Node looks for requests that are late: they may take so much longer. */
const CHECK_MS = 1000;

export interface ListenerOptions {
  /** `host:port`, `[::1]:port`; port 0 takes any. */
  readonly address: string;
  readonly log: Logger;
  readonly limits?: Partial<HttpLimits>;
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

  constructor({ address, log, limits: given }: ListenerOptions) {
    const limits = { ...HTTP_LIMITS, ...given };
    this.#address = address;
    this.#log = log;
    this.#server = createServer({
      requestTimeout: limits.requestTimeoutMs,
      headersTimeout: limits.headersTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, limits.headersTimeoutMs),
      maxHeaderSize: limits.maxHeaderBytes,
      // Finds the clients of streams that vanished without a word.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
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
    // Node answers 503 to what comes after `Connection: close`, and would go on doing so.
    this.#server.on("dropRequest", (_request, socket) => {
      setImmediate(() => (socket as Socket).destroySoon());
    });
    this.#server.on("clientError", (error, socket) => {
      answerBrokenRequest(error, socket as Socket, connections.get(socket as Socket) ?? []);
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
    const cut = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(cut);
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    this.#connections.get(request.socket)?.push(response);
    response.on("close", this.#onResponseClose);
    response.on("error", ignore);
    if (this.#stopping) response.shouldKeepAlive = false;

    const path = pathOf(request.url ?? "");
    if (path === null) {
      answerError(request, response, 400, "bad_target", "The request target has no path.");
      return;
    }
    const found = this.#endpoints.find(path);
    if (found === null) {
      answerError(request, response, 404, "not_found", "There is nothing at this path.");
      return;
    }
    try {
      const handled = found.endpoint.handle(request, response, found.rest);
      if (handled !== undefined) handled.catch((error: unknown) => this.#failed(error, request, response));
    } catch (error) {
      this.#failed(error, request, response);
    }
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

function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}

const REMEDY: Record<string, string> = {
  EADDRINUSE: "another process listens there: stop it, or choose another port",
  EACCES: "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): choose a higher one",
  EADDRNOTAVAIL: "no interface of this machine has this address",
  ENOTFOUND: "the name has no address",
};

function cannotListen(address: string, error: NodeJS.ErrnoException): LeatError {
  return new LeatError("internal", "cannot_listen", `can't listen on ${address} (${error.code})`, {
    hint: REMEDY[error.code ?? ""],
    cause: error,
  });
}

function ignore(): void {}
