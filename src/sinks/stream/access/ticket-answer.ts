/** `POST <path>/ticket` → `{ "ticket": "…", "expires_in_ms": 30000 }`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerError, answerJson } from "../../../http/answer.ts";
import type { Denial } from "./admission.ts";
import { answerDenial } from "./gate.ts";

export interface TicketOffice {
  readonly ttlMs: number;
  /** For what the request shows; or why it gets none. */
  issue(): Promise<string | Denial>;
}

export async function answerTicket(
  request: IncomingMessage,
  response: ServerResponse,
  rest: string,
  { ttlMs, issue }: TicketOffice,
): Promise<void> {
  response.setHeader("cache-control", "no-store");
  if (rest !== "/ticket") {
    answerError(request, response, 404, "not_found", "There is nothing at this path.");
    return;
  }
  // A ticket isn't got by a link or an image that another page holds.
  if (request.method !== "POST") {
    const more = ["allow", "POST, OPTIONS"];
    answerError(request, response, 405, "method_not_allowed", "A ticket is got with POST.", more);
    return;
  }
  const ticket = await issue();
  if (typeof ticket !== "string") answerDenial(request, response, ticket);
  else answerJson(response, 200, `${JSON.stringify({ ticket, expires_in_ms: ttlMs })}\n`);
}
