/**
 * Who may read a stream, and where they may publish: what every kind of stream asks.
 *
 *   meet     may this page ask at all (name, origin)?            → headers for the answer
 *   admit    whose credential is it, and what is it good for?    → an admission
 *   enter    is there room?                                      → a session (session.ts, sessions.ts)
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Revocation } from "../../../component.ts";
import type { Clock, Logger } from "../../../ports.ts";
import { clientAddress } from "./address.ts";
import {
  type Credential,
  type Denial,
  final,
  type Identity,
  type Judged,
  type Verdict,
} from "./admission.ts";
import { type Authorities, createAuthorities } from "./authority.ts";
import { askedChannels, type CredentialRules, credentialOf, MAX_TOKEN_BYTES } from "./credential.ts";
import { type ChannelEntry, GrantBook } from "./grants.ts";
import { type Met, meet } from "./origin.ts";
import { Revocations } from "./revocations.ts";
import type { AuthConfig, JudgeConfig } from "./schema.ts";
import type { Session, SessionOwner } from "./session.ts";
import { Sessions } from "./sessions.ts";
import { Slots } from "./slots.ts";
import { answerTicket } from "./ticket-answer.ts";
import { Tickets } from "./tickets.ts";

export interface AccessConfig {
  readonly origins?: readonly string[] | undefined;
  readonly auth: AuthConfig;
  readonly judge?: JudgeConfig | undefined;
  readonly ticket?: { readonly ttl: number };
  readonly channels: readonly ChannelEntry[];
  /** Absent: nobody may publish. */
  readonly publish?: readonly string[] | undefined;
  readonly limits: {
    readonly connections: number;
    readonly per_address?: number | undefined;
    readonly per_user?: number | undefined;
    readonly trusted_proxies?: readonly string[] | undefined;
  };
}

export interface AccessHost {
  /** The sink's. */
  readonly name: string;
  /** As `StreamHost.hosts` has it. */
  readonly hosts: readonly string[] | null;
  readonly clock: Clock;
  readonly log: Logger;
  /** As `StreamHost` has them; absent: revocations end with the process. */
  readonly noted?: () => string | null;
  readonly note?: (text: string) => Promise<void>;
}

export type Entered =
  | { readonly entered: true; readonly session: Session }
  | { readonly entered: false; readonly denial: Denial };

const TICKET_TTL_MS = 30_000;
const REVOKED = final(403, "revoked", "What this user may read was revoked.");

export class Access {
  readonly #config: AccessConfig;
  readonly #host: AccessHost;
  readonly #authorities: Authorities;
  readonly #grants: GrantBook;
  readonly #slots: Slots;
  readonly #arrivals: Slots;
  readonly #rules: CredentialRules;
  readonly #revocations: Revocations;
  readonly #sessions: Sessions;
  readonly #tickets: Tickets;

  constructor(config: AccessConfig, host: AccessHost) {
    const { auth, limits } = config;
    this.#config = config;
    this.#host = host;
    this.#authorities = createAuthorities(auth, config.judge, host);
    this.#grants = new GrantBook(config.channels, config.publish ?? []);
    this.#slots = new Slots({
      connections: limits.connections,
      perAddress: limits.per_address ?? null,
      perUser: limits.per_user ?? null,
    });
    this.#arrivals = new Slots({
      connections: limits.connections,
      perAddress: limits.per_address ?? null,
      perUser: null,
    });
    this.#rules = {
      cookie: "cookie" in auth ? (auth.cookie ?? null) : null,
      query: "query" in auth && auth.query,
      headers: (auth.type === "http" ? auth.forward_headers : (config.judge?.forward_headers ?? [])).map(
        (name) => name.toLowerCase(),
      ),
      address: clientAddress(limits.trusted_proxies ?? []),
    };
    this.#revocations = new Revocations(host);
    this.#tickets = new Tickets(host.clock, config.ticket?.ttl ?? TICKET_TTL_MS);
    this.#sessions = new Sessions({
      clock: host.clock,
      log: host.log,
      judging: this.#authorities.judging,
      revocations: this.#revocations,
      judge: (credential, fresh) => this.#verdict(credential, fresh),
    });
  }

  start(): Promise<void> {
    return this.#authorities.authority.start();
  }

  /** Sessions are for their owners to close. */
  stop(): Promise<void> {
    return this.#authorities.authority.stop();
  }

  meet(request: IncomingMessage): Met {
    const { auth, origins = [] } = this.#config;
    return meet(request, { origins, hosts: this.#host.hosts, open: auth.type === "none" });
  }

  /**
   * For who may still show something once it is connected: a place among those who haven't entered, as many again as may
   * enter. The function gives it back.
   */
  arrive(request: IncomingMessage): (() => void) | Denial {
    return this.#arrivals.take(this.#rules.address(request), null);
  }

  /** Judges what a request shows. `token`: what a WebSocket's first message shows instead. Never rejects. */
  async admit(
    request: IncomingMessage,
    query: URLSearchParams,
    { token = null }: { token?: string | null } = {},
  ): Promise<Verdict> {
    const verdict = await this.#admit(request, query, token);
    if (!verdict.admitted && verdict.denial.kind === "final") {
      const { code, reason = code } = verdict.denial;
      this.#host.log.debug({ reason }, "a reader isn't let in");
    }
    return verdict;
  }

  /** A place among those that may be connected; it is given back by the session's `close`. */
  enter({ admission, credential }: Extract<Verdict, { admitted: true }>, owner: SessionOwner): Entered {
    // What was revoked since it was admitted.
    const revoked = this.#revocations.of(admission.user, credential.issuedAt);
    if (revoked.all) return { entered: false, denial: REVOKED };
    const release = this.#slots.take(credential.address, admission.user);
    if (typeof release !== "function") return { entered: false, denial: release };
    const granted = { ...admission, denied: revoked.channels };
    return { entered: true, session: this.#sessions.open(granted, credential, owner, release) };
  }

  /** What lies under the stream's path: `/ticket`. Who may ask was `meet` before. */
  handle(request: IncomingMessage, response: ServerResponse, rest: string): Promise<void> {
    const { type } = this.#config.auth;
    return answerTicket(request, response, type === "none" ? "" : rest, {
      ttlMs: this.#tickets.ttlMs,
      // Of what the request shows otherwise: a ticket that makes tickets would never end.
      issue: async () => {
        const credential = credentialOf(request, new URLSearchParams(), null, this.#rules);
        const judged = await this.#judge(credential, false);
        return judged.ok ? this.#tickets.issue(credential, judged.identity) : judged.denial;
      },
    });
  }

  /**
   * Takes a channel, or (null) all that it has, from a user: from those of it that are connected, and for `forMs` from
   * credentials issued before now. Resolves, once that is written down, with the number of connections it was taken from.
   * LeatError `refused` where there are too many.
   */
  revoke(user: string, channel: string | null, forMs: number): Promise<number> {
    return this.#sessions.revoke(user, channel, forMs);
  }

  /** Ends a revocation; false: there was none. */
  restore(user: string, channel: string | null): Promise<boolean> {
    return this.#sessions.restore(user, channel);
  }

  revocations(): readonly Revocation[] {
    return this.#revocations.list();
  }

  // ------------------------------------------------------------------------------------------------------------ inside

  async #admit(request: IncomingMessage, query: URLSearchParams, token: string | null): Promise<Verdict> {
    const ticket = token === null ? query.get("ticket") : null;
    if (ticket !== null) {
      const redeemed = this.#tickets.redeem(ticket);
      if ("kind" in redeemed) return { admitted: false, denial: redeemed };
      const credential = { ...redeemed.credential, asked: askedChannels(query) };
      // For the ticket it was asked about the reader, and not yet about what the reader would name.
      const { judging } = this.#authorities;
      if (judging !== null && credential.asked.length > 0) return this.#verdict(credential, false);
      return this.#grant(credential, redeemed.identity);
    }
    return this.#verdict(credentialOf(request, query, token, this.#rules), false);
  }

  async #verdict(credential: Credential, fresh: boolean): Promise<Verdict> {
    const judged = await this.#judge(credential, fresh);
    return judged.ok ? this.#grant(credential, judged.identity) : { admitted: false, denial: judged.denial };
  }

  async #judge(credential: Credential, fresh: boolean): Promise<Judged> {
    if (credential.token !== null && credential.token.length > MAX_TOKEN_BYTES) {
      const message = `A token has at most ${MAX_TOKEN_BYTES} bytes.`;
      return { ok: false, denial: final(401, "unauthorized", message, "too_long") };
    }
    // Of every scheme (RFC 6750, 2.1); it may become a header of a question to the judge.
    if (credential.token !== null && !/^[\x21-\x7e]+$/.test(credential.token)) {
      return { ok: false, denial: final(401, "unauthorized", "The token isn't valid.", "malformed") };
    }
    return this.#authorities.authority.judge(credential, fresh);
  }

  #grant(credential: Credential, identity: Identity): Verdict {
    const { user, issuedAt, expiresAt } = identity;
    if (expiresAt !== null && expiresAt <= this.#host.clock.wall()) {
      return { admitted: false, denial: final(401, "unauthorized", "The token has expired.", "expired") };
    }
    const revoked = this.#revocations.of(user, issuedAt);
    if (revoked.all) return { admitted: false, denial: REVOKED };
    const admission = this.#grants.admission(identity, revoked.channels);
    return { admitted: true, admission, credential: { ...credential, issuedAt } };
  }
}
