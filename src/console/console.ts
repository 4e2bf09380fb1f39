/** The page at `/` of the admin listener: its files, its live tail, and the form that asks for the token. */
import { readFileSync } from "node:fs";
import type { HttpEndpoint } from "../component.ts";
import { answerError } from "../http/answer.ts";
import { createTail, type TailOptions } from "./tail.ts";

/** Scripts and styles only from our own files, talks only to us, is framed by nobody: event data can start nothing. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

export interface Console {
  /** `/`, its script and style, `/tail`; each to be served behind the admin listener's access. */
  readonly endpoints: readonly HttpEndpoint[];
  /** The login form's HTML: posts `token` to `/login`; `?wrong` and `?wait` say why it is asked again. */
  readonly login: string;
  /** Ends the pages' tails. Before the journal is closed. */
  stop(): Promise<void>;
}

export function createConsole(options: TailOptions): Console {
  const tail = createTail(options);
  return {
    endpoints: [
      file("/", "index.html", "text/html; charset=utf-8"),
      file("/console.js", "console.js", "text/javascript; charset=utf-8"),
      file("/console.css", "console.css", "text/css; charset=utf-8"),
      tail.endpoint,
    ],
    login: read("login.html").toString(),
    stop: () => tail.stop(),
  };
}

function file(path: string, name: string, type: string): HttpEndpoint {
  const content = read(name);
  return {
    path,
    subtree: false,
    handle(request, response) {
      if (request.method !== "GET" && request.method !== "HEAD") {
        answerError(request, response, 405, "method_not_allowed", "A page is read with GET.", [
          "allow",
          "GET, HEAD",
        ]);
        return;
      }
      response.setHeader("content-security-policy", POLICY);
      response.setHeader("x-content-type-options", "nosniff");
      response.setHeader("referrer-policy", "no-referrer");
      response.setHeader("cache-control", "no-cache");
      response.writeHead(200, ["content-type", type, "content-length", String(content.byteLength)]);
      response.end(content);
    },
  };
}

function read(name: string): Buffer {
  return readFileSync(new URL(`page/${name}`, import.meta.url));
}
