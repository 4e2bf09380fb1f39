/**
 * What was taken from users before their tokens end. Each entry outlives those tokens, or what was cut would come back with
 * the same one. A token issued after the revocation says that its issuer knows better, and is taken.
 */
import { LeatError } from "../../../errors.ts";
import type { Clock } from "../../../ports.ts";

export interface Revocation {
  readonly user: string;
  /** A channel's name; null: all that the user has. */
  readonly channel: string | null;
  /** Wall clock, ms: from when, and how long it is remembered. */
  readonly at: number;
  readonly until: number;
}

/** A list that is longer is no way to say who may read. */
const MOST = 10_000;

/** What is revoked from one user, of a credential issued at some time. */
export interface Revoked {
  readonly all: boolean;
  readonly channels: readonly string[];
}

const NOTHING: Revoked = { all: false, channels: [] };

export class Revocations {
  readonly #clock: Clock;
  readonly #byUser = new Map<string, Revocation[]>();
  #count = 0;

  constructor(clock: Clock, known: readonly Revocation[]) {
    this.#clock = clock;
    for (const revocation of known) this.#put(revocation);
    this.#forgetOld();
  }

  /** Replaces what was revoked the same before. LeatError `refused`, `too_many_revocations`. */
  add(revocation: Revocation): void {
    this.lift(revocation.user, revocation.channel);
    this.#forgetOld();
    if (this.#count >= MOST) {
      throw new LeatError("refused", "too_many_revocations", `There are ${MOST} revocations already.`, {
        hint: "Have tokens end sooner, and revoke for as long as they live; or let a judge decide.",
      });
    }
    this.#put(revocation);
  }

  /** Whether there was such a one. */
  lift(user: string, channel: string | null): boolean {
    const list = this.#byUser.get(user) ?? [];
    const rest = list.filter((one) => one.channel !== channel);
    this.#count -= list.length - rest.length;
    if (rest.length > 0) this.#byUser.set(user, rest);
    else this.#byUser.delete(user);
    return rest.length < list.length;
  }

  /** `issuedAt` null: nobody knows, so everything counts. Issue times are whole seconds: within one, it counts too. */
  of(user: string | null, issuedAt: number | null): Revoked {
    const list = user === null ? undefined : this.#byUser.get(user);
    if (list === undefined) return NOTHING;
    const now = this.#clock.wall();
    const valid = list.filter(({ at, until }) => until > now && (issuedAt === null || issuedAt <= at));
    return {
      all: valid.some(({ channel }) => channel === null),
      channels: valid.map(({ channel }) => channel).filter((channel) => channel !== null),
    };
  }

  all(): Revocation[] {
    return [...this.#byUser.values()].flat();
  }

  #put(revocation: Revocation): void {
    const list = this.#byUser.get(revocation.user);
    if (list) list.push(revocation);
    else this.#byUser.set(revocation.user, [revocation]);
    this.#count++;
  }

  #forgetOld(): void {
    const now = this.#clock.wall();
    for (const { user, channel, until } of this.all()) if (until <= now) this.lift(user, channel);
  }
}
