/**
 * Who may read a stream, and where they may publish: what every kind of stream asks.
 *
 *   meet     may this page ask at all (name, origin)?            → headers for the answer
 *   admit    whose credential is it, and what is it good for?    → an admission
 *   enter    is there room?                                      → a session, which expires, is renewed, is revoked
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock, Logger } from "../../../ports.ts";
import { clientAddress } from "./address.ts";
import type { Admission, Authority, Credential, Denial, Judged, Verdict } from "./admission.ts";
import { final } from "./admission.ts";
import { anyone, BearerAuthority } from "./bearer.ts";
import { type CredentialRules, credentialOf, MAX_TOKEN_BYTES } from "./credential.ts";
import { Deadlines } from "./deadlines.ts";
import { type ChannelEntry, GrantBook } from "./grants.ts";
import { type Met, meet } from "./origin.ts";
import { Revocations } from "./revocations.ts";
import type { AuthConfig } from "./schema.ts";
import { type JudgedAction, Session, type SessionKeeper, type SessionOwner } from "./session.ts";
import { Slots } from "./slots.ts";

export interface AccessConfig {
  readonly origins?: readonly string[] | undefined;
  readonly auth: AuthConfig;
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
  /** As `StreamHost.hosts` has it. */
  readonly hosts: readonly string[] | null;
  readonly clock: Clock;
  readonly log: Logger;
}

export type Entered =
  | { readonly entered: true; readonly session: Session }
  | { readonly entered: false; readonly denial: Denial };

export class Access implements SessionKeeper {
  readonly #config: AccessConfig;
  readonly #host: AccessHost;
  readonly #authority: Authority;
  readonly #grants: GrantBook;
  readonly #slots: Slots;
  readonly #rules: CredentialRules;
  readonly #revocations: Revocations;
  readonly #sessions = new Set<Session>();
  readonly #deadlines: Deadlines<Session>;

  constructor(config: AccessConfig, host: AccessHost) {
    const { limits } = config;
    this.#config = config;
    this.#host = host;
    this.#authority = authorityOf(config.auth);
    this.#grants = new GrantBook(config.channels, config.publish ?? []);
    this.#slots = new Slots({
      connections: limits.connections,
      perAddress: limits.per_address ?? null,
      perUser: limits.per_user ?? null,
    });
    this.#rules = {
      cookie: null,
      query: config.auth.type === "bearer" && config.auth.query,
      headers: [],
      address: clientAddress(limits.trusted_proxies ?? []),
    };
    this.#revocations = new Revocations(host.clock, []);
    this.#deadlines = new Deadlines(host.clock, (session) => this.#due(session));
  }

  start(): Promise<void> {
    return this.#authority.start();
  }

  /** Sessions are for their owners to close. */
  stop(): Promise<void> {
    return this.#authority.stop();
  }

  /** Connections that have entered. */
  get taken(): number {
    return this.#slots.taken;
  }

  meet(request: IncomingMessage): Met {
    const { auth, origins = [] } = this.#config;
    return meet(request, { origins, hosts: this.#host.hosts, open: auth.type === "none" });
  }

  /**
   * Judges what a request shows. `token`: what a WebSocket's first message shows instead. `asked`: channels that the
   * request names. Never rejects.
   */
  async admit(
    request: IncomingMessage,
    query: URLSearchParams,
    { token = null, asked = [] }: { token?: string | null; asked?: readonly string[] } = {},
  ): Promise<Verdict> {
    return this.#judge(credentialOf(request, query, token, this.#rules), asked);
  }

  /** A place among those that may be connected; it is given back by the session's `close`. */
  enter({ admission, credential }: Extract<Verdict, { admitted: true }>, owner: SessionOwner): Entered {
    const release = this.#slots.take(credential.address, admission.user);
    if (typeof release !== "function") return { entered: false, denial: release };
    const session = new Session(admission, credential, this, owner, release);
    this.#sessions.add(session);
    this.#schedule(session);
    return { entered: true, session };
  }

  /** What lies under the stream's path: `/ticket`. Who may ask was `meet` before. */
  async handle(_request: IncomingMessage, _response: ServerResponse, _rest: string): Promise<void> {}

  // ---------------------------------------------------------------------------------------------------- for sessions

  async renew(session: Session, token: string): Promise<Denial | null> {
    const verdict = await this.#judge({ ...session.credential, token }, []);
    if (!verdict.admitted) return verdict.denial;
    if (verdict.admission.user !== session.admission.user) {
      return final(403, "another_user", "A connection is renewed by a token of the same user.");
    }
    session.change(verdict.admission, verdict.credential);
    if (!session.closed) this.#schedule(session);
    return null;
  }

  ask(_session: Session, _action: JudgedAction, _channel: string): Promise<Denial | null> | null {
    return null;
  }

  forget(session: Session): void {
    this.#sessions.delete(session);
    this.#deadlines.delete(session);
  }

  // ------------------------------------------------------------------------------------------------------------ inside

  async #judge(credential: Credential, asked: readonly string[]): Promise<Verdict> {
    if (credential.token !== null && credential.token.length > MAX_TOKEN_BYTES) {
      const message = `A token has at most ${MAX_TOKEN_BYTES} bytes.`;
      return { admitted: false, denial: final(401, "unauthorized", message, "too_long") };
    }
    const judged: Judged = await this.#authority.judge(credential, asked);
    if (!judged.ok) return { admitted: false, denial: judged.denial };
    const { user, issuedAt } = judged.identity;
    const revoked = this.#revocations.of(user, issuedAt);
    if (revoked.all) {
      return { admitted: false, denial: final(403, "revoked", "What this user may read was revoked.") };
    }
    const admission: Admission = this.#grants.admission(judged.identity, revoked.channels);
    return { admitted: true, admission, credential: { ...credential, issuedAt } };
  }

  #schedule(session: Session): void {
    const { expiresAt } = session.admission;
    if (expiresAt === null) return;
    this.#deadlines.set(session, expiresAt - this.#host.clock.wall());
  }

  #due(session: Session): void {
    session.end("expired");
  }
}

function authorityOf(auth: AuthConfig): Authority {
  return auth.type === "none" ? anyone : new BearerAuthority(auth.token);
}
