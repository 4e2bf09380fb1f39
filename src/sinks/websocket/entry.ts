/**
 * A client's being let in, and its staying so.
 *
 *   judged ──► entered ──► renewed, narrowed ──► expired or revoked: closed
 *     └── shows nothing: waits for `connect`
 */
import type { Entered } from "../stream/access/access.ts";
import type { Admission, Denial, Verdict } from "../stream/access/admission.ts";
import type { JudgedAction, Session, SessionEnd, SessionOwner } from "../stream/access/session.ts";
import type { StreamCounters } from "../stream/metrics.ts";
import { EXPIRED, FORBIDDEN, LOAD, NO_CONNECT } from "./close.ts";
import type { Inbox } from "./inbox.ts";
import type { Line } from "./line.ts";
import type { Memberships } from "./memberships.ts";
import * as say from "./messages.ts";

/** What lets this client in: made for its request. */
export interface Entrance {
  admit(token: string | null): Promise<Verdict>;
  enter(verdict: Extract<Verdict, { admitted: true }>, owner: SessionOwner): Entered;
}

export interface EntryOptions {
  readonly line: Line;
  readonly inbox: Inbox;
  readonly memberships: Memberships;
  readonly entrance: Entrance;
  readonly counters: StreamCounters;
}

export class Entry implements SessionOwner {
  readonly #line: Line;
  readonly #inbox: Inbox;
  readonly #memberships: Memberships;
  readonly #counters: StreamCounters;
  /** Null once it is let in: it holds the request. */
  #entrance: Entrance | null;
  #session: Session | null = null;

  constructor({ line, inbox, memberships, entrance, counters }: EntryOptions) {
    this.#line = line;
    this.#inbox = inbox;
    this.#memberships = memberships;
    this.#entrance = entrance;
    this.#counters = counters;
  }

  get session(): Session | null {
    return this.#session;
  }

  /** Judges what the request showed. Resolves with true where nothing was: then it waits for `connect`. */
  async begin(): Promise<boolean> {
    return (await this.#enter(null)) === "missing";
  }

  connect(token: string): void {
    this.#enter(token).catch((error: unknown) => this.#line.failed(error));
  }

  /** In place. */
  renew(session: Session, token: string, ref?: say.Ref): void {
    this.#once(session.renew(token), (denial) => {
      if (denial === null) this.#welcome(session.admission, ref);
      else this.#refuse(denial, { ref });
    });
  }

  /** Does it, once the judge has said yes where one wants to be asked. */
  judged(
    session: Session,
    action: JudgedAction,
    { channel, ref }: { readonly channel: string; readonly ref?: say.Ref },
    doIt: () => void,
  ): void {
    const asked = session.ask(action, channel);
    if (asked === null) {
      doIt();
      return;
    }
    this.#once(asked, (denial) => {
      if (denial === null) doIt();
      else this.#refuse(denial, { ref, channel });
    });
  }

  /** Its deadline for `connect` is over. */
  late(): void {
    if (this.#session === null && !this.#inbox.held) this.#line.close(NO_CONNECT);
  }

  leave(): void {
    this.#entrance = null;
    this.#session?.close();
  }

  changed(admission: Admission): void {
    this.#memberships.narrow(admission);
  }

  onChannels(): Iterable<string> {
    return this.#memberships.names();
  }

  ended(why: SessionEnd): void {
    if (why === "expired") this.#line.close(EXPIRED, "expired");
    else {
      this.#line.tell(say.error({ code: "revoked", message: "What this user may read was revoked." }));
      this.#line.close(FORBIDDEN);
    }
  }

  /** Takes nothing more of what the client says until this is found out. */
  #once<T>(answer: Promise<T>, go: (answer: T) => void): void {
    this.#inbox.hold();
    const found = (answer: T) => {
      this.#inbox.release();
      if (this.#line.closing) return;
      go(answer);
      this.#inbox.work();
    };
    answer.then(found).catch((error: unknown) => this.#line.failed(error));
  }

  async #enter(token: string | null): Promise<"entered" | "missing" | "denied"> {
    const entrance = this.#entrance;
    if (entrance === null) return "denied";
    this.#inbox.hold();
    const verdict = await entrance.admit(token);
    this.#inbox.release();
    if (this.#line.closing) return "denied";
    if (!verdict.admitted && verdict.denial.kind === "missing" && token === null) {
      this.#inbox.work();
      return "missing";
    }
    const entered = verdict.admitted
      ? entrance.enter(verdict, this)
      : { entered: false as const, denial: verdict.denial };
    if (!entered.entered) {
      this.#deny(entered.denial);
      return "denied";
    }
    this.#session = entered.session;
    this.#entrance = null;
    this.#welcome(entered.session.admission);
    this.#inbox.work();
    return "entered";
  }

  #welcome({ user, expiresAt }: Admission, ref?: say.Ref): void {
    const { clock, heartbeatMs } = this.#line.common;
    const expiresInMs = expiresAt === null ? null : Math.max(0, Math.round(expiresAt - clock.wall()));
    this.#line.tell(say.welcome({ user, expiresInMs, heartbeatMs }, ref));
  }

  #deny({ kind, code, message, retryMs }: Denial): void {
    if (kind === "later") {
      this.#counters.refused++;
      this.#line.close(LOAD, "load", retryMs);
      return;
    }
    this.#line.tell(say.error({ code, message }));
    this.#line.close(FORBIDDEN);
  }

  #refuse({ code, message }: Denial, to: Pick<say.Failure, "ref" | "channel">): void {
    this.#line.refuse({ code, message, ...to });
  }
}
