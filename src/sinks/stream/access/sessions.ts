/** All sessions of a stream: when each expires, when it is judged again, and what is revoked from it. */
import { sampleText } from "../../../pattern.ts";
import type { Clock, Logger } from "../../../ports.ts";
import { grantOf, mayPublish } from "../channels.ts";
import { type Admission, type Credential, type Denial, final, type Verdict } from "./admission.ts";
import type { Judging } from "./authority.ts";
import { Deadlines } from "./deadlines.ts";
import type { Revocations } from "./revocations.ts";
import { type JudgedAction, Session, type SessionKeeper, type SessionOwner } from "./session.ts";

export interface SessionsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Null: what was judged once holds until it expires. */
  readonly judging: Judging | null;
  readonly revocations: Revocations;
  /** From what was shown to what it is good for, as for a reader who comes. */
  readonly judge: (credential: Credential, fresh: boolean) => Promise<Verdict>;
}

/** Monotonic, ms. */
interface Times {
  /** Infinity: it doesn't. */
  readonly expires: number;
  readonly judged: number;
}

export class Sessions implements SessionKeeper {
  readonly #options: SessionsOptions;
  readonly #deadlines: Deadlines<Session>;
  readonly #times = new Map<Session, Times>();
  readonly #byUser = new Map<string, Set<Session>>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines(options.clock, (session) => this.#due(session));
  }

  /** `release` is called once the session is closed or ended. */
  open(admission: Admission, credential: Credential, owner: SessionOwner, release: () => void): Session {
    const session = new Session(admission, this.#kept(credential), this, owner, release);
    const { user } = admission;
    if (user !== null) {
      const sessions = this.#byUser.get(user);
      if (sessions) sessions.add(session);
      else this.#byUser.set(user, new Set([session]));
    }
    this.#judgedNow(session);
    return session;
  }

  forget(session: Session): void {
    this.#deadlines.delete(session);
    this.#times.delete(session);
    const { user } = session.admission;
    const sessions = user === null ? undefined : this.#byUser.get(user);
    if (sessions?.delete(session) && sessions.size === 0) this.#byUser.delete(user as string);
  }

  async renew(session: Session, token: string): Promise<Denial | null> {
    const verdict = await this.#options.judge({ ...session.credential, token }, false);
    if (!verdict.admitted) return verdict.denial;
    if (verdict.admission.user !== session.admission.user) {
      return final(403, "another_user", "A connection is renewed by a token of the same user.");
    }
    this.#renewed(session, verdict);
    return null;
  }

  ask(session: Session, action: JudgedAction, channel: string): Promise<Denial | null> | null {
    const { admission, credential } = session;
    const granted =
      action === "subscribe" ? grantOf(admission, channel) !== null : mayPublish(admission, channel);
    // Nobody has the judge asked about what it couldn't grant.
    return granted ? (this.#options.judging?.ask(action, channel, credential, admission) ?? null) : null;
  }

  async revoke(user: string, channel: string | null, forMs: number): Promise<number> {
    const { revocations, clock, judging } = this.#options;
    const at = clock.wall();
    // What a session is told must be what a reader finds that comes back at once.
    const noted = revocations.add({ user, channel, at, until: at + forMs });
    judging?.forget();
    const sessions = [...(this.#byUser.get(user) ?? [])];
    for (const session of sessions) {
      if (channel === null) session.end("revoked");
      else session.change(denying(session.admission, channel), session.credential);
    }
    await noted;
    return sessions.length;
  }

  async restore(user: string, channel: string | null): Promise<boolean> {
    const { revocations } = this.#options;
    const lifted = await revocations.lift(user, channel);
    for (const session of this.#byUser.get(user) ?? []) {
      const { channels } = revocations.of(user, session.credential.issuedAt);
      session.change({ ...session.admission, denied: channels }, session.credential);
    }
    return lifted;
  }

  #due(session: Session): void {
    const now = this.#options.clock.monotonic();
    const { expires, judged } = this.#times.get(session) as Times;
    if (expires <= now) session.end("expired");
    else {
      this.#judgeAgain(session, now - judged).catch((err: unknown) => {
        // A defect: one reader comes back, nothing else.
        this.#options.log.error({ err }, "a reader could not be judged again");
        session.end("expired");
      });
    }
  }

  async #judgeAgain(session: Session, ageMs: number): Promise<void> {
    const { judge, judging } = this.#options;
    const verdict = await judge(session.credential, true);
    if (session.closed) return;
    if (verdict.admitted && verdict.admission.user === session.admission.user) {
      this.#renewed(session, verdict, await this.#refused(session, verdict.admission));
    } else if (!verdict.admitted && verdict.denial.kind === "later") {
      // Nobody says no: it stays for a while.
      if (judging === null || ageMs > judging.graceMs) session.end("expired");
      else this.#schedule(session);
    } else session.end("revoked");
  }

  /**
   * Of what it is on, what the judge doesn't let it stay on, as `Grants.denied` has it. Where it says nothing, it stays until
   * it is asked again.
   */
  async #refused(session: Session, admission: Admission): Promise<string[]> {
    const { judging } = this.#options;
    const channels = session.channels().filter((channel) => grantOf(admission, channel) !== null);
    const asked = channels.map(async (channel) => {
      const denial = await judging?.ask("subscribe", channel, session.credential, admission);
      return denial == null || denial.kind === "later" ? [] : [sampleText(channel)];
    });
    return (await Promise.all(asked)).flat();
  }

  /** `refused`: channels beside those that are revoked. */
  #renewed(
    session: Session,
    { admission, credential }: Extract<Verdict, { admitted: true }>,
    refused: readonly string[] = [],
  ): void {
    if (session.closed) return;
    // As it is now: it may have been revoked since it was judged.
    const { channels } = this.#options.revocations.of(admission.user, credential.issuedAt);
    session.change({ ...admission, denied: [...channels, ...refused] }, this.#kept(credential));
    if (!session.closed) this.#judgedNow(session);
  }

  /** Of what was shown, what is needed again: nothing that one could log in with, unless a judge is asked again. */
  #kept(credential: Credential): Credential {
    return this.#options.judging === null ? { ...credential, token: null, headers: NONE } : credential;
  }

  #judgedNow(session: Session): void {
    const { clock, judging } = this.#options;
    const { expiresAt } = session.admission;
    if (expiresAt === null && judging === null) {
      this.#deadlines.delete(session);
      return;
    }
    const now = clock.monotonic();
    // From here on by the monotonic clock: a step of the other one neither ends a session nor lengthens it.
    const expires = expiresAt === null ? Number.POSITIVE_INFINITY : now + expiresAt - clock.wall();
    this.#times.set(session, { expires, judged: now });
    this.#schedule(session);
  }

  #schedule(session: Session): void {
    const { clock, judging } = this.#options;
    const { expires } = this.#times.get(session) as Times;
    // Those who came at once are asked about one by one.
    const refresh = judging === null ? Number.POSITIVE_INFINITY : judging.refreshMs * (1 - Math.random() / 2);
    const inMs = Math.min(expires - clock.monotonic(), refresh);
    if (inMs < Number.POSITIVE_INFINITY) this.#deadlines.set(session, inMs);
  }
}

const NONE: Credential["headers"] = {};

function denying(admission: Admission, channel: string): Admission {
  if (admission.denied.includes(channel)) return admission;
  return { ...admission, denied: [...admission.denied, channel] };
}
