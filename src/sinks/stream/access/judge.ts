/**
 * An endpoint of the user's that says who may read what (`auth: { type: http }`, or `judge:` beside another), where rules in
 * the configuration don't suffice.
 *
 * It is asked by a POST of JSON, with the headers of the reader's request that the configuration names:
 *   { sink, action: connect|subscribe|publish, channels, user, claims, address, origin }
 * 2xx is yes, and its JSON may say more: { user, claims, channels, publish, expires_in } (seconds). 401 and 403 are no. Anything
 * else, or nothing in time, says nothing of the reader: it is to come back.
 */
import { createHash } from "node:crypto";
import type { Chance, Clock, Logger } from "../../../ports.ts";
import {
  type Credential,
  type Denial,
  final,
  type Identity,
  type Judged,
  later,
  missing,
  UNKNOWN,
} from "./admission.ts";
import { answeredIdentity, maxAgeMs } from "./judge-answer.ts";
import type { Outside, OutsideAnswer } from "./outside.ts";
import type { JudgedAction } from "./session.ts";

export interface JudgeOptions {
  readonly sink: string;
  readonly outside: Outside;
  /** Written in the configuration, sent with each request. */
  readonly headers: Readonly<Record<string, string>>;
  /** An answer isn't kept for longer, whatever its `Cache-Control: max-age` says, ms. */
  readonly maxCacheMs: number;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly log: Logger;
}

/** Kept of its answers: so many, of so many characters in all. */
const MOST_CACHED = 10_000;
const MOST_CACHED_LENGTH = 16 * 1024 * 1024;
const RETRY_MS = 2000;

interface Cached {
  readonly judged: Judged;
  /** Monotonic, ms. */
  readonly until: number;
  readonly length: number;
}

export class Judge {
  readonly #options: JudgeOptions;
  /** Oldest first. */
  readonly #cache = new Map<string, Cached>();
  #cachedLength = 0;
  /** Who asks the same at once is answered together. */
  readonly #underWay = new Map<string, Promise<Judged>>();
  #failing = false;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  stop(): Promise<void> {
    return this.#options.outside.close();
  }

  /** What it said before is asked anew. */
  forget(): void {
    this.#cache.clear();
    this.#cachedLength = 0;
  }

  /**
   * Never rejects. `identity`: what is known of the reader already, by its token. `fresh`: not from what it said before.
   */
  ask(
    action: "connect" | JudgedAction,
    channels: readonly string[],
    credential: Credential,
    identity: Identity | null,
    fresh = false,
  ): Promise<Judged> {
    const { sink, clock } = this.#options;
    const { token, headers, address, origin } = credential;
    const { user, claims } = identity ?? UNKNOWN;
    const question = JSON.stringify({ sink, action, channels, user, claims, address, origin });
    const sent = { ...headers, ...tokenHeader(token, headers) };
    const key = digest(JSON.stringify([question, sent]));
    const cached = this.#cache.get(key);
    if (!fresh && cached !== undefined && cached.until > clock.monotonic())
      return Promise.resolve(cached.judged);
    const before = this.#underWay.get(key);
    if (before !== undefined) return before;
    const asked = this.#ask(question, sent, identity, key).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  async #ask(
    question: string,
    sent: Record<string, string>,
    identity: Identity | null,
    key: string,
  ): Promise<Judged> {
    const { outside, headers, clock, maxCacheMs } = this.#options;
    const all = { ...sent, ...headers, "content-type": "application/json", accept: "application/json" };
    const answer = await outside.ask("POST", all, question);
    const judged = this.#read(answer, identity, sent.authorization !== undefined);
    const ms = answer.ok && isVerdict(judged) ? Math.min(maxCacheMs, maxAgeMs(answer.headers)) : 0;
    this.#drop(key);
    if (ms > 0 && answer.ok)
      this.#keep(key, { judged, until: clock.monotonic() + ms, length: answer.body.length });
    return judged;
  }

  #keep(key: string, cached: Cached): void {
    this.#cache.set(key, cached);
    this.#cachedLength += cached.length;
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= MOST_CACHED && this.#cachedLength <= MOST_CACHED_LENGTH) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#cachedLength -= this.#cache.get(key)?.length ?? 0;
    this.#cache.delete(key);
  }

  #read(answer: OutsideAnswer, identity: Identity | null, shown: boolean): Judged {
    if (!answer.ok) return this.#failed(answer.fault);
    const { status, body } = answer;
    if (status === 401) return this.#said(no(unknown(shown)));
    if (status === 403) return this.#said(no(final(403, "forbidden", "This reader may not.", "judge")));
    if (status < 200 || status > 299) return this.#failed(`status ${status}`);
    const said = answeredIdentity(body, identity ?? UNKNOWN, this.#options.clock.wall());
    return said === null ? this.#failed("malformed") : this.#said({ ok: true, identity: said });
  }

  #said(judged: Judged): Judged {
    if (this.#failing) this.#options.log.info({}, "the judge answers again");
    this.#failing = false;
    return judged;
  }

  #failed(error: string): Judged {
    if (!this.#failing)
      this.#options.log.warn({ error }, "the judge gives no answer; readers are to come back");
    this.#failing = true;
    const retryMs = RETRY_MS + this.#options.chance.random() * RETRY_MS;
    return no(later(503, "try_again", "Who may read can't be told now: try again in a moment.", retryMs));
  }
}

/** A reader that showed no token yet may still do so, by a WebSocket's first message. */
function unknown(shown: boolean): Denial {
  if (!shown) return missing("The reader isn't known.");
  return final(401, "unauthorized", "The reader isn't known.", "judge");
}

/** Of a token that came otherwise than in a header that the judge is given. */
function tokenHeader(
  token: string | null,
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  return token === null || headers.authorization !== undefined ? {} : { authorization: `Bearer ${token}` };
}

function isVerdict(judged: Judged): boolean {
  return judged.ok || judged.denial.kind !== "later";
}

function no(denial: Denial): Judged {
  return { ok: false, denial };
}

/** What is kept must not be what a reader logs in with. */
function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
