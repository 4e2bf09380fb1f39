/**
 * Requests to an endpoint of the user's that says who may read: a key set, a judge. Bounded in time and in what is read of
 * an answer; no redirect is followed, for it would take readers' credentials to hosts that nobody configured; addresses are
 * checked as a webhook sink's are.
 */
import { Pool } from "undici";
import type { AddressesConfig, TlsConfig } from "../../webhook/config.ts";
import { createConnector } from "../../webhook/connect.ts";
import { failureWord } from "../../webhook/failure.ts";

/** More at a time wait for one of these. */
const CONNECTIONS = 32;
/** Further ones than so many that are under way fail at once: whoever answers so slowly won't be faster for them. */
const MOST_WAITING = 2000;

export interface OutsideOptions {
  readonly url: string;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly tls?: TlsConfig | undefined;
  readonly addresses?: AddressesConfig | undefined;
}

export type OutsideAnswer =
  | {
      readonly ok: true;
      readonly status: number;
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
      readonly body: string;
    }
  /** A word as an attempt's `error` has it: `timeout`, `connection_refused`, `too_large`, … */
  | { readonly ok: false; readonly fault: string };

export class Outside {
  readonly #options: OutsideOptions;
  readonly #url: URL;
  readonly #pool: Pool;
  #underWay = 0;

  constructor(options: OutsideOptions) {
    this.#options = options;
    this.#url = new URL(options.url);
    this.#pool = new Pool(this.#url.origin, {
      connect: createConnector(options.tls, options.addresses),
      connections: CONNECTIONS,
      pipelining: 1,
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
    });
  }

  /** Never rejects. */
  async ask(method: "GET" | "POST", headers: Record<string, string>, body?: string): Promise<OutsideAnswer> {
    if (this.#underWay >= MOST_WAITING) return { ok: false, fault: "crowded" };
    this.#underWay++;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#options.timeoutMs);
    const { signal } = late;
    try {
      const path = `${this.#url.pathname}${this.#url.search}`;
      const sent =
        body === undefined ? { method, path, headers, signal } : { method, path, headers, signal, body };
      const answer = await this.#pool.request(sent);
      const text = await readWithin(answer.body, this.#options.maxBytes);
      if (text === null) return { ok: false, fault: "too_large" };
      return { ok: true, status: answer.statusCode, headers: answer.headers, body: text };
    } catch (error) {
      return { ok: false, fault: signal.aborted ? "timeout" : failureWord(error) };
    } finally {
      clearTimeout(timer);
      this.#underWay--;
    }
  }

  /** What is under way fails. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** Null where it is longer; then its connection is given up. */
async function readWithin(body: AsyncIterable<Buffer>, maxBytes: number): Promise<string | null> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.byteLength;
    if (size > maxBytes) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}
