/** What to do about a connection on which no (whole) HTTP request came, or one that asks for something else. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { errorJson } from "./answer.ts";

interface Verdict {
  readonly status: string;
  readonly code: string;
  readonly message: string;
}

const VERDICTS: Record<string, Verdict> = {
  HPE_HEADER_OVERFLOW: {
    status: "431 Request Header Fields Too Large",
    code: "headers_too_large",
    message: "The request's line and headers are too large.",
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: "413 Content Too Large",
    code: "too_large",
    message: "The chunk extensions are too large.",
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: "408 Request Timeout",
    code: "timeout",
    message: "The request took too long to arrive.",
  },
};

const MALFORMED: Verdict = {
  status: "400 Bad Request",
  code: "bad_request",
  message: "This is not an HTTP/1.1 request.",
};

const NO_PROXY: Verdict = {
  status: "501 Not Implemented",
  code: "no_proxy",
  message: "This is no proxy: there is no CONNECT.",
};

/** How long a client may take to read the answer before the connection is cut. */
const LINGER_MS = 1000;

/**
 * Answers by hand, there being no response object for a request that didn't parse, unless an answer is on its way on
 * that connection (`responses`): one that hasn't begun may still come, and is the last; one that has begun mustn't be written into.
 */
export function answerBrokenRequest(
  error: NodeJS.ErrnoException,
  socket: Socket,
  responses: readonly ServerResponse[],
): void {
  if (error.code === "ECONNRESET") socket.destroy();
  else answerLast(VERDICTS[error.code ?? ""] ?? MALFORMED, socket, responses);
}

/** A `CONNECT`: Node hands over the bare connection. */
export function answerConnect(socket: Socket, responses: readonly ServerResponse[]): void {
  // Whatever comes of it has nobody to tell.
  socket.on("error", () => socket.destroy());
  answerLast(NO_PROXY, socket, responses);
}

function answerLast(verdict: Verdict, socket: Socket, responses: readonly ServerResponse[]): void {
  if (!socket.writable || responses.some((response) => response.headersSent)) {
    socket.destroy();
    return;
  }
  const promised = responses.filter((response) => response.req.complete);
  if (promised.length > 0) {
    for (const response of promised) response.shouldKeepAlive = false;
    return;
  }
  const { status, code, message } = verdict;
  const body = errorJson(code, message);
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  const cut = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(cut));
}
