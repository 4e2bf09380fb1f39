/**
 * Where a delivery goes: the sink's URL with what the route's templates made of it.
 *
 * Scheme and host are what the configuration says: a template may only stand behind them, and what it puts in is already
 * percent-encoded. Where nothing is templated, the address is made once.
 */
import type { Message } from "../../component.ts";
import type { WebhookConfig } from "./config.ts";

export interface Address {
  readonly origin: string;
  /** Path and query, as they go into the request line. */
  readonly path: string;
}

/** Builds addresses for the sink's deliveries. */
export class AddressBook {
  readonly #url: string;
  readonly #own: Address | null;

  constructor(config: WebhookConfig) {
    this.#url = config.url;
    this.#own = [config.url, config.path, config.query].some((part) => part?.includes("{{"))
      ? null
      : addressOf(config.url, config.path, config.query);
  }

  /** The one address that every delivery goes to unless its route says otherwise; null where there is none. */
  get own(): Address | null {
    return this.#own;
  }

  of({ fields }: Message, config: WebhookConfig): Address {
    const { url = this.#url, path, query } = fields;
    if (this.#own !== null && url === this.#url && path === config.path && query === config.query)
      return this.#own;
    return addressOf(url, path, query);
  }
}

function addressOf(url: string, path: string | undefined, query: string | undefined): Address {
  const [, origin = "", rest = ""] = /^([^/]*:\/\/[^/?#]*)([^#]*)/.exec(url) ?? [];
  const mark = rest.indexOf("?");
  const ownPath = mark === -1 ? rest : rest.slice(0, mark);
  const ownQuery = mark === -1 ? "" : rest.slice(mark + 1);
  const queries = [ownQuery, (query ?? "").replace(/^[?&]/, "")].filter((part) => part !== "");
  const joined = joinPaths(ownPath, path ?? "");
  return {
    origin: new URL(origin).origin,
    path: sendable(queries.length === 0 ? joined : `${joined}?${queries.join("&")}`),
  };
}

function joinPaths(base: string, path: string): string {
  const ahead = base.startsWith("/") ? base : `/${base}`;
  if (path === "") return ahead;
  // A `?` in a path would begin the query.
  const tail = path.replaceAll("?", "%3F");
  return `${ahead.replace(/\/$/, "")}${tail.startsWith("/") ? "" : "/"}${tail}`;
}

/** What was written with spaces or beyond ASCII goes out percent-encoded; a `#` would begin a fragment. */
function sendable(path: string): string {
  return path.replace(/[^\x21-\x7e]+|#/g, (part) => encodeURIComponent(part.toWellFormed()));
}
