/**
 * A connected reader's admission, for as long as it is connected.
 *
 *            ┌─ renewed, judged again, a channel revoked ─► `changed`, goes on
 *   entered ─┤
 *            └─ expired, revoked, judged and refused ─────► `ended`, once; the reader is closed by its owner
 */
import type { Admission, Credential, Denial } from "./admission.ts";

/** Why a session ended: `expired` may come back with a new credential, `revoked` is refused when it does. */
export type SessionEnd = "expired" | "revoked";

/** What the owner of a connection does about its admission. Called at most once a turn, never after `close`. */
export interface SessionOwner {
  /** Other grants, or another expiry: channels that aren't open any more are to be cut, alone. */
  changed(admission: Admission): void;
  ended(why: SessionEnd): void;
  /** What it is on, as it asked for it: for a judge that is asked about each channel. Absent: what it came with. */
  onChannels?(): Iterable<string>;
}

/** What a judge is asked beside whether a reader may come in. */
export type JudgedAction = "subscribe" | "publish";

/** What a session asks of the access that it belongs to. */
export interface SessionKeeper {
  renew(session: Session, token: string): Promise<Denial | null>;
  ask(session: Session, action: JudgedAction, channel: string): Promise<Denial | null> | null;
  forget(session: Session): void;
}

export class Session {
  admission: Admission;
  credential: Credential;
  readonly #keeper: SessionKeeper;
  readonly #owner: SessionOwner;
  readonly #release: () => void;
  #closed = false;

  constructor(
    admission: Admission,
    credential: Credential,
    keeper: SessionKeeper,
    owner: SessionOwner,
    release: () => void,
  ) {
    this.admission = admission;
    this.credential = credential;
    this.#keeper = keeper;
    this.#owner = owner;
    this.#release = release;
  }

  /** In place, before it expires. The denial says why not; what was admitted before then stays as it is. Never rejects. */
  renew(token: string): Promise<Denial | null> {
    return this.#keeper.renew(this, token);
  }

  /**
   * Whether the judge lets it join a channel that it was granted, or publish there. Null at once where no judge wants to
   * be asked, as with every `auth` but a judge with `asks`.
   */
  ask(action: JudgedAction, channel: string): Promise<Denial | null> | null {
    return this.#keeper.ask(this, action, channel);
  }

  /** For its keeper. */
  channels(): readonly string[] {
    return [...(this.#owner.onChannels?.() ?? [])];
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The connection is gone. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
    this.#keeper.forget(this);
  }

  /** For its keeper. */
  change(admission: Admission, credential: Credential): void {
    if (this.#closed) return;
    this.admission = admission;
    this.credential = credential;
    this.#owner.changed(admission);
  }

  /** For its keeper. */
  end(why: SessionEnd): void {
    if (this.#closed) return;
    this.close();
    this.#owner.ended(why);
  }
}
