/**
 * Tickets: what a page that can set no header shows in a URL instead of its token (`?ticket=`). Random, good once and for
 * seconds, so that what ends up in a log or a history is worth nothing.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../../../ports.ts";
import type { Credential, Denial, Identity } from "./admission.ts";
import { final, later } from "./admission.ts";

/** Of 256 bits. */
const BYTES = 32;

/** In all, and of one user or (where nobody knows the user) address: nobody else is kept from getting one. */
const MOST = 10_000;
const MOST_EACH = 20;

interface Ticket {
  readonly holder: string;
  readonly credential: Credential;
  /** What the credential was found to be. */
  readonly identity: Identity;
  /** Monotonic, ms. */
  readonly until: number;
}

export class Tickets {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  /** By digest, oldest first: looking one up takes no time that tells of its text. */
  readonly #tickets = new Map<string, Ticket>();
  readonly #held = new Map<string, number>();

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  get ttlMs(): number {
    return this.#ttlMs;
  }

  issue(credential: Credential, identity: Identity): string | Denial {
    this.#forgetOld();
    const holder = identity.user === null ? `address ${credential.address}` : `user ${identity.user}`;
    if ((this.#held.get(holder) ?? 0) >= MOST_EACH || this.#tickets.size >= MOST) {
      return later(429, "too_many_tickets", "Too many tickets are unused: use them, or wait.", this.#ttlMs);
    }
    const text = randomBytes(BYTES).toString("base64url");
    const until = this.#clock.monotonic() + this.#ttlMs;
    this.#tickets.set(digest(text), { holder, credential, identity, until });
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + 1);
    return text;
  }

  /** Whose it is; it is used up, also by the first of two who come at once. */
  redeem(text: string): Pick<Ticket, "credential" | "identity"> | Denial {
    const key = digest(text);
    const ticket = this.#tickets.get(key);
    if (ticket !== undefined) this.#drop(key, ticket);
    if (ticket === undefined || ticket.until <= this.#clock.monotonic()) {
      return final(
        401,
        "unauthorized",
        "The ticket was used before, or is too old: ask for another.",
        "ticket",
      );
    }
    return ticket;
  }

  #forgetOld(): void {
    const now = this.#clock.monotonic();
    for (const [key, ticket] of this.#tickets) {
      if (ticket.until > now) return;
      this.#drop(key, ticket);
    }
  }

  #drop(key: string, { holder }: Ticket): void {
    this.#tickets.delete(key);
    const held = (this.#held.get(holder) ?? 1) - 1;
    if (held > 0) this.#held.set(holder, held);
    else this.#held.delete(holder);
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
