/**
 * What the admin listener serves, each part behind the access it needs: probes and /metrics behind none, the login
 * behind the Host's check, all else (the API, the page) behind the token too.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { HttpEndpoint } from "../component.ts";
import type { Console } from "../console/console.ts";
import type { DaemonFace } from "../daemon/face.ts";
import { type Access, createAccess, type Denial } from "./access.ts";
import { answerError, answerThrown, readBody } from "./answer.ts";
import { answerApi } from "./api.ts";
import { answerHealth, answerReadiness } from "./health.ts";
import type { Metrics } from "./metrics.ts";

export function adminEndpoints(
  daemon: DaemonFace,
  metrics: Metrics,
  page: Pick<Console, "endpoints" | "login">,
): HttpEndpoint[] {
  const access = createAccess(daemon.server, daemon.clock);
  const api: HttpEndpoint = {
    path: "/api",
    subtree: true,
    handle: (request, response, rest) => answerApi(daemon, request, response, rest),
  };
  return [
    open("/healthz", (_request, response) => answerHealth(daemon, response)),
    open("/readyz", (_request, response) => answerReadiness(daemon, response)),
    open("/metrics", async (_request, response) => {
      const text = await metrics.text(daemon);
      response.writeHead(200, { "content-type": metrics.contentType, "cache-control": "no-store" });
      response.end(text);
    }),
    loginEndpoint(access, page.login),
    guarded(access, api),
    ...page.endpoints.map((endpoint) => guarded(access, endpoint)),
  ];
}

function open(
  path: string,
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
): HttpEndpoint {
  return {
    path,
    subtree: false,
    async handle(request, response) {
      if (!isRead(request)) {
        response.setHeader("allow", "GET, HEAD");
        answerError(response, 405, {
          code: "method_not_allowed",
          message: "This path doesn't take this method.",
        });
        return;
      }
      await answer(request, response);
    },
  };
}

function isRead(request: IncomingMessage): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

function guarded(access: Access, endpoint: HttpEndpoint): HttpEndpoint {
  return {
    path: endpoint.path,
    subtree: endpoint.subtree,
    handle(request, response, rest) {
      protect(response);
      const denial =
        access.host(request) ?? access.token(request) ?? (isRead(request) ? null : access.change(request));
      if (denial === null) return endpoint.handle(request, response, rest);
      if (denial.status === 401 && wantsPage(request)) {
        redirect(response, "/login");
        return;
      }
      deny(response, denial);
    },
  };
}

/** GET: the form. POST: its token, as a form sends it or as JSON; a cookie for the right one. */
function loginEndpoint(access: Access, form: string): HttpEndpoint {
  return {
    path: "/login",
    subtree: false,
    async handle(request, response) {
      protect(response, FORM);
      const denial = access.host(request) ?? (isRead(request) ? null : access.change(request, "form"));
      if (denial !== null) {
        deny(response, denial);
        return;
      }
      if (isRead(request)) {
        response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" });
        response.end(form);
        return;
      }
      const body = await readBody(request, response).catch((error: unknown) => {
        answerThrown(response, error);
        return null;
      });
      if (body === null) return;
      const result = access.login(request, tokenIn(request, body));
      if ("cookie" in result) {
        response.setHeader("set-cookie", result.cookie);
        redirect(response, "/");
      } else if (wantsPage(request)) {
        redirect(response, result.status === 429 ? "/login?wait" : "/login?wrong");
      } else {
        deny(response, result);
      }
    },
  };
}

function tokenIn(request: IncomingMessage, body: Buffer): string {
  const text = body.toString("utf8");
  if (!request.headers["content-type"]?.startsWith("application/json")) {
    return new URLSearchParams(text).get("token") ?? "";
  }
  try {
    const { token } = JSON.parse(text) as { token?: unknown };
    return typeof token === "string" ? token : "";
  } catch {
    return "";
  }
}

/** A browser's navigation, and not a program that reads JSON. */
function wantsPage(request: IncomingMessage): boolean {
  return (request.headers.accept ?? "").includes("text/html");
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location, "cache-control": "no-store" });
  response.end();
}

function deny(response: ServerResponse, denial: Denial): void {
  const { status, code, message, hint, retryAfterS } = denial;
  if (status === 401) response.setHeader("www-authenticate", 'Bearer realm="leat"');
  if (retryAfterS !== undefined) response.setHeader("retry-after", retryAfterS);
  answerError(response, status, { code, message, hint });
}

const NOTHING_RUNS = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** The login form has its style and script in it, and nothing of anybody else's. */
const FORM =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; " +
  "form-action 'self'; frame-ancestors 'none'";

/** For every answer; the page sets a policy of its own over it. */
function protect(response: ServerResponse, policy = NOTHING_RUNS): void {
  response.setHeader("content-security-policy", policy);
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("x-frame-options", "DENY");
}
