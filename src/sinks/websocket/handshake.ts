/** From a request to a WebSocket, or to an answer that says why not (RFC 6455, section 4.2). */
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { errorJson } from "../../http/answer.ts";
import type { Met } from "../stream/access/origin.ts";
import { CLOSE_CUT_MS } from "./close.ts";
import { PROTOCOL } from "./messages.ts";

/** Windows are 32 KiB, as `deflatedFrame` has them; a message is decompressed by itself, and at most to its bound. */
const DEFLATE: ServerOptions["perMessageDeflate"] = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  concurrencyLimit: 4,
};

/** A message is cut into so many frames at most, and one of them arrives in so many pieces. */
const MOST_FRAGMENTS = 1024;

export interface HandshakeOptions {
  readonly maxMessageBytes: number;
  readonly compress: boolean;
}

export class Handshake {
  readonly #server: WebSocketServer;

  constructor({ maxMessageBytes, compress }: HandshakeOptions) {
    const options: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      maxPayload: maxMessageBytes,
      maxFragments: MOST_FRAGMENTS,
      perMessageDeflate: compress && DEFLATE,
      autoPong: false,
      closeTimeout: CLOSE_CUT_MS,
      // None of ours: a browser takes that for a failure, which it is.
      handleProtocols: (offered) => offered.has(PROTOCOL) && PROTOCOL,
    };
    this.#server = new WebSocketServer(options);
    this.#server.on("wsClientError", (_error, socket, request) => {
      const version: [string, string][] = [["sec-websocket-version", "13"]];
      refuse(socket as Socket, 400, "bad_handshake", badHandshake(request), version);
    });
  }

  /** `onOpen` is called at once, or not at all: then it is answered. */
  take(request: IncomingMessage, socket: Socket, head: Buffer, onOpen: (webSocket: WebSocket) => void): void {
    declineWindows(request.headers);
    this.#server.handleUpgrade(request, socket, head, onOpen);
  }
}

/**
 * Leaves out offers of compression with a smaller window than ours: who makes one gets none (RFC 7692, 7.1.2.1), where
 * `ws` would answer 400.
 */
function declineWindows(headers: IncomingMessage["headers"]): void {
  const offered = headers["sec-websocket-extensions"];
  if (offered === undefined || !offered.includes("server_max_window_bits")) return;
  const offers = offered
    .split(",")
    .map((offer) => offer.trim())
    .filter((offer) => !/server_max_window_bits\s*=\s*"?(?!15)/.test(offer));
  if (offers.length > 0) headers["sec-websocket-extensions"] = offers.join(",");
  else delete headers["sec-websocket-extensions"];
}

function badHandshake({ headers }: IncomingMessage): string {
  return headers["sec-websocket-version"] === "13"
    ? "The headers of the WebSocket handshake are malformed."
    : "The WebSocket protocol is spoken in version 13.";
}

/** Of a page that may not ask. */
export function refuseOrigin(socket: Socket, { denial }: Extract<Met, { readonly denial: unknown }>): void {
  refuse(socket, denial.status, denial.code, denial.message);
}

/** Answers by hand, and ends: there is no response object for a request that would be upgraded. */
function refuse(
  socket: Socket,
  status: number,
  code: string,
  message: string,
  more: readonly [string, string][] = [],
): void {
  socket.on("error", () => socket.destroy());
  const body = errorJson(code, message);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...more.map(([name, value]) => `${name}: ${value}`),
  ];
  socket.once("finish", () => socket.destroy());
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
