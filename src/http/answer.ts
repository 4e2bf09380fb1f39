/** Answers: one write each, and what to do about a body that nobody will read. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** More headers, as a flat list of names and values. */
export type MoreHeaders = readonly string[];

const JSON_TYPE = "application/json; charset=utf-8";

/** Answers with JSON that is written already. Does nothing where the response is past that. */
export function answerJson(
  response: ServerResponse,
  status: number,
  json: string,
  more: MoreHeaders = [],
): void {
  if (response.headersSent || response.destroyed) return;
  if (status === 204 || status === 205) {
    response.writeHead(status, [...more]).end();
    return;
  }
  const length = String(Buffer.byteLength(json));
  response.writeHead(status, ["content-type", JSON_TYPE, "content-length", length, ...more]).end(json);
}

/** The form of every error: a stable code and what is wrong; `beside` are fields that stand beside it. */
export function errorJson(code: string, message: string, beside: object = {}): string {
  return `${JSON.stringify({ error: { code, message }, ...beside })}\n`;
}

/** Of a body that isn't wanted, Node reads and drops so much by itself, and the connection stays of use. */
const DROPPED_BYTES = 64 * 1024;

/** How much more is read, and for how long, so that a sender in the middle of a large body gets to see the answer. */
const LINGER_BYTES = 1024 * 1024;
const LINGER_MS = 1000;

/**
 * Answers an error, whether or not the body was read. The rest of a large body is not: the answer goes out at once and
 * the connection is closed soon after. Soon and not at once, because a close with unread bytes makes TCP reset, and
 * the sender would lose the answer with it.
 */
export function answerError(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  more: MoreHeaders = [],
  beside: object = {},
): void {
  const json = errorJson(code, message, beside);
  if (request.complete || !hasLargeRest(request)) {
    answerJson(response, status, json, more);
    return;
  }
  if (response.headersSent || response.destroyed) return;
  const length = String(Buffer.byteLength(json));
  response.writeHead(status, [
    "content-type",
    JSON_TYPE,
    "content-length",
    length,
    "connection",
    "close",
    ...more,
  ]);
  response.write(json);
  linger(request, response);
}

function hasLargeRest(request: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  return encoding !== undefined || Number(length ?? 0) > DROPPED_BYTES;
}

function linger(request: IncomingMessage, response: ServerResponse): void {
  let dropped = 0;
  const close = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(close, LINGER_MS);
  request.on("data", (chunk: Uint8Array) => {
    dropped += chunk.byteLength;
    if (dropped > LINGER_BYTES) close();
  });
  request.once("end", close);
  request.once("close", close);
  request.once("error", close);
  request.resume();
}
