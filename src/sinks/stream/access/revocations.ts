/**
 * What was taken from users before their tokens end. Each entry outlives those tokens, or what was cut would come back with
 * the same one. A token issued after the revocation says that its issuer knows better, and is taken.
 */
import { z } from "zod";
import type { Revocation } from "../../../component.ts";
import { LeatError } from "../../../errors.ts";
import type { Clock } from "../../../ports.ts";

export interface RevocationHost {
  readonly clock: Clock;
  readonly noted?: () => string | null;
  readonly note?: (text: string) => Promise<void>;
}

/** A list that is longer is no way to say who may read. */
const MOST = 2000;

/** What is revoked from one user, of a credential issued at some time. */
export interface Revoked {
  readonly all: boolean;
  readonly channels: readonly string[];
}

const NOTHING: Revoked = { all: false, channels: [] };

export class Revocations {
  readonly #host: RevocationHost;
  readonly #byUser = new Map<string, Revocation[]>();
  #count = 0;

  constructor(host: RevocationHost) {
    this.#host = host;
    for (const revocation of read(host.noted?.() ?? null)) this.#put(revocation);
    this.#forgetOld();
  }

  /**
   * Holds at once, and replaces what was revoked the same before; resolves when it is written down. Throws LeatError `refused`,
   * `too_many_revocations`; rejects as `StreamHost.note` does.
   */
  add(revocation: Revocation): Promise<void> {
    this.#drop(revocation.user, revocation.channel);
    this.#forgetOld();
    if (this.#count >= MOST) {
      throw new LeatError("refused", "too_many_revocations", `There are ${MOST} revocations already.`, {
        hint: "Have tokens end sooner, and revoke for as long as they live; or let a judge decide.",
      });
    }
    this.#put(revocation);
    return this.#note();
  }

  /** Whether there was such a one. */
  async lift(user: string, channel: string | null): Promise<boolean> {
    const lifted = this.#drop(user, channel);
    if (lifted) await this.#note();
    return lifted;
  }

  #drop(user: string, channel: string | null): boolean {
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
    const now = this.#host.clock.wall();
    const valid = list.filter(({ at, until }) => until > now && (issuedAt === null || issuedAt <= at));
    return {
      all: valid.some(({ channel }) => channel === null),
      channels: valid.map(({ channel }) => channel).filter((channel) => channel !== null),
    };
  }

  /** Those that count, oldest first. */
  list(): Revocation[] {
    this.#forgetOld();
    return this.#all().sort((one, other) => one.at - other.at);
  }

  #all(): Revocation[] {
    return [...this.#byUser.values()].flat();
  }

  #put(revocation: Revocation): void {
    const list = this.#byUser.get(revocation.user);
    if (list) list.push(revocation);
    else this.#byUser.set(revocation.user, [revocation]);
    this.#count++;
  }

  #forgetOld(): void {
    const now = this.#host.clock.wall();
    for (const { user, channel, until } of this.#all()) if (until <= now) this.#drop(user, channel);
  }

  async #note(): Promise<void> {
    await this.#host.note?.(JSON.stringify(this.#all()));
  }
}

const revocation = z.object({
  user: z.string(),
  channel: z.string().nullable(),
  at: z.number(),
  until: z.number(),
});

/** What an earlier process wrote down. */
function read(text: string | null): Revocation[] {
  return text === null ? [] : z.array(revocation).parse(JSON.parse(text));
}
