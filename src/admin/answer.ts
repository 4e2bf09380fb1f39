/** How the admin listener answers, and how it reads what was sent to it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ErrorKind, LeatError } from "../errors.ts";
import { answerJson as writeJson } from "../http/answer.ts";
import { BodyBudget, readBody as readBounded } from "../http/body.ts";

/** The form of every error: a stable code, what is wrong, and what to do about it. */
export interface ErrorAnswer {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string | undefined;
    /** More than one thing is wrong: a configuration's problems. */
    readonly problems?: readonly unknown[];
  };
}

export function answerJson(response: ServerResponse, status: number, value: unknown): void {
  writeJson(response, status, `${JSON.stringify(value)}\n`, ["cache-control", "no-store"]);
}

export function answerError(response: ServerResponse, status: number, error: ErrorAnswer["error"]): void {
  answerJson(response, status, { error } satisfies ErrorAnswer);
}

const STATUS_BY_KIND: Record<ErrorKind, number> = {
  configuration: 422,
  refused: 422,
  unavailable: 503,
  damaged: 500,
  storage: 500,
  internal: 500,
};
const STATUS_BY_CODE: Readonly<Record<string, number>> = { bad_request: 400, too_large: 413 };

function statusOf({ code, kind }: LeatError): number {
  return STATUS_BY_CODE[code] ?? (code.startsWith("unknown_") ? 404 : STATUS_BY_KIND[kind]);
}

/** A LeatError says what it is; of anything else a client learns nothing but that it happened. */
export function answerThrown(response: ServerResponse, error: unknown): void {
  if (!(error instanceof LeatError)) {
    const message = "An error inside Leat; its log says more.";
    answerError(response, 500, { code: "internal", message });
    return;
  }
  if (error.retryAfterMs !== undefined) {
    response.setHeader("retry-after", Math.ceil(error.retryAfterMs / 1000));
  }
  const { code, message, hint } = error;
  answerError(response, statusOf(error), { code, message, hint });
}

const BODY_BYTES = 64 * 1024;
/** Over all requests at once: people and scripts, not load. */
const budget = new BodyBudget(16 * BODY_BYTES);

/** The request's body, at most 64 KiB of it. */
export async function readBody(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
  const { body, fault } = await readBounded(request, response, BODY_BYTES, null, budget);
  if (fault === null) return body;
  if (fault === "too_large") throw new LeatError("refused", fault, `The body is over ${BODY_BYTES} bytes.`);
  throw new LeatError("unavailable", fault, "The body could not be read.", { retryAfterMs: 1000 });
}
