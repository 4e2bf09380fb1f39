/** The way in over plain HTTP: answers whatever isn't a read by one who may, and lets the rest through. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerError } from "../../../http/answer.ts";
import { queryOf } from "../../../http/target.ts";
import type { Access } from "./access.ts";
import type { Denial, Verdict } from "./admission.ts";
import { PREFLIGHT_HEADERS } from "./origin.ts";

export interface Passed {
  readonly query: URLSearchParams;
  /** An admission, or a denial that the reader should come back after: how it is told depends on the protocol. */
  readonly verdict:
    | Extract<Verdict, { admitted: true }>
    | { readonly admitted: false; readonly denial: Denial };
}

const READ = ["allow", "GET, HEAD, OPTIONS"];

/** Null: it is answered, or its client is gone. `rest` is what lies under the stream's path. */
export async function passGate(
  access: Access,
  request: IncomingMessage,
  response: ServerResponse,
  rest: string,
): Promise<Passed | null> {
  const met = access.meet(request);
  if ("denial" in met) {
    answerDenial(request, response, met.denial);
    return null;
  }
  for (const [name, value] of met.headers) response.setHeader(name, value);
  if (request.method === "OPTIONS") {
    for (const [name, value] of PREFLIGHT_HEADERS) response.setHeader(name, value);
    response.writeHead(204, READ).end();
    return null;
  }
  if (rest !== "") {
    await access.handle(request, response, rest);
    return null;
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    answerError(request, response, 405, "method_not_allowed", "A stream is read with GET.", READ);
    return null;
  }
  const query = new URLSearchParams(queryOf(request.url ?? ""));
  const verdict = await access.admit(request, query);
  // It may have taken seconds: nobody would tell us any more that the client is gone.
  if (response.destroyed) return null;
  if (verdict.admitted || verdict.denial.kind === "later") return { query, verdict };
  answerDenial(request, response, verdict.denial);
  return null;
}

/** With what RFC 6750 (3) has a client told of its token. */
export function answerDenial(request: IncomingMessage, response: ServerResponse, denial: Denial): void {
  const { status, code, message, reason, kind, retryMs = 0 } = denial;
  const more: string[] = [];
  if (status === 401) {
    const why = kind === "missing" ? "" : ` error="invalid_token", error_description="${reason ?? code}"`;
    more.push("www-authenticate", `Bearer${why}`);
  }
  if (kind === "later") more.push("retry-after", String(Math.ceil(retryMs / 1000)));
  answerError(request, response, status, code, message, more);
}
