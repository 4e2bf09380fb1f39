/**
 * The admin API: `/api/…`. One table of what there is; each entry gets what the client sent, checked, and returns what
 * to answer. Errors are LeatErrors; `unknown_…` is a 404.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { DaemonFace } from "../daemon/face.ts";
import { LeatError } from "../errors.ts";
import { answerError, answerJson, answerThrown, readBody } from "./answer.ts";
import { type Answer, type Call, jsonObject } from "./call.ts";
import {
  listDead,
  listEvents,
  listRefusals,
  listRevocations,
  listSinks,
  listSources,
  listSubscriptions,
  showEvent,
} from "./looking.ts";
import { confirmClock, pauseSink, purge, reload, replay, restore, resumeSink, revoke } from "./orders.ts";

interface Operation {
  readonly method: "GET" | "POST";
  readonly pattern: RegExp;
  readonly run: (call: Call) => Answer | Promise<Answer>;
}

const OPERATIONS: readonly Operation[] = [
  { method: "GET", pattern: /^\/events$/, run: listEvents },
  { method: "GET", pattern: /^\/events\/(\d{1,16})$/, run: showEvent },
  { method: "GET", pattern: /^\/dead$/, run: listDead },
  { method: "GET", pattern: /^\/refusals$/, run: listRefusals },
  { method: "GET", pattern: /^\/subscriptions$/, run: listSubscriptions },
  { method: "GET", pattern: /^\/sources$/, run: listSources },
  { method: "GET", pattern: /^\/sinks$/, run: listSinks },
  { method: "GET", pattern: /^\/sinks\/([^/]+)\/revocations$/, run: listRevocations },
  { method: "POST", pattern: /^\/replay$/, run: replay },
  { method: "POST", pattern: /^\/purge$/, run: purge },
  { method: "POST", pattern: /^\/reload$/, run: reload },
  { method: "POST", pattern: /^\/confirm-clock$/, run: confirmClock },
  { method: "POST", pattern: /^\/sinks\/([^/]+)\/pause$/, run: pauseSink },
  { method: "POST", pattern: /^\/sinks\/([^/]+)\/resume$/, run: resumeSink },
  { method: "POST", pattern: /^\/sinks\/([^/]+)\/revoke$/, run: revoke },
  { method: "POST", pattern: /^\/sinks\/([^/]+)\/restore$/, run: restore },
];

/** Answers one request below `/api`; `rest` is the path after it. Who may ask was decided before (`access.ts`). */
export async function answerApi(
  daemon: DaemonFace,
  request: IncomingMessage,
  response: ServerResponse,
  rest: string,
): Promise<void> {
  const found = OPERATIONS.filter(({ pattern }) => pattern.test(rest));
  const operation = found.find(({ method }) => method === request.method);
  if (operation === undefined) {
    answerNone(response, found);
    return;
  }
  try {
    const path = (operation.pattern.exec(rest) ?? []).slice(1).map(decode);
    const { searchParams: query } = new URL(request.url ?? "/", "http://leat");
    const body = operation.method === "GET" ? {} : jsonObject(await readBody(request, response));
    const { status = 200, value } = await operation.run({ daemon, path, query, body });
    answerJson(response, status, value);
  } catch (error) {
    if (!(error instanceof LeatError)) daemon.log.error({ err: error }, "a request to the admin API failed");
    answerThrown(response, error);
  }
}

function answerNone(response: ServerResponse, found: readonly Operation[]): void {
  if (found.length === 0) {
    answerError(response, 404, { code: "unknown_path", message: "There is nothing at this path." });
    return;
  }
  response.setHeader("allow", found.map(({ method }) => method).join(", "));
  answerError(response, 405, { code: "method_not_allowed", message: "This path doesn't take this method." });
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
