/**
 * Who is on which channel: kept in memory alone, and told to those who are there. One who is back within the grace never
 * left, so that a lost connection or a page that is loaded anew isn't told as a leave and a join.
 *
 * Of those of whom nobody said who they are only the number is known.
 */
import type { Clock } from "../../ports.ts";
import { Deadlines } from "../stream/access/deadlines.ts";
import type { Member } from "./messages.ts";

/** Each join is told to all: in a larger crowd that is more than anybody reads, and members are only listed. */
const MOST_TOLD = 200;

/** Of a list of members. */
const MOST_LISTED = 1000;

interface Stay {
  readonly channel: string;
  readonly user: string | null;
  connections: number;
}

export interface PresenceOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  readonly onJoin: (channel: string, user: string) => void;
  readonly onLeave: (channel: string, user: string) => void;
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #channels = new Map<string, Map<string | null, Stay>>();
  readonly #leaving: Deadlines<Stay>;
  #members = 0;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#leaving = new Deadlines(options.clock, (stay) => this.#left(stay));
  }

  /** Members of all channels, one on two of them counted twice. */
  get size(): number {
    return this.#members;
  }

  enter(channel: string, user: string | null): void {
    let members = this.#channels.get(channel);
    if (members === undefined) this.#channels.set(channel, (members = new Map()));
    const stay = members.get(user);
    if (stay !== undefined) {
      if (stay.connections++ === 0) this.#leaving.delete(stay);
      return;
    }
    members.set(user, { channel, user, connections: 1 });
    this.#members++;
    if (user !== null && members.size <= MOST_TOLD) this.#options.onJoin(channel, user);
  }

  leave(channel: string, user: string | null): void {
    const stay = this.#channels.get(channel)?.get(user);
    if (stay === undefined || --stay.connections > 0) return;
    this.#leaving.set(stay, this.#options.graceMs);
  }

  /** `more`: members beside those listed. */
  on(channel: string): { readonly members: readonly Member[]; readonly more: number } {
    const all = this.#channels.get(channel);
    const members: Member[] = [];
    for (const { user, connections } of all?.values() ?? []) {
      if (members.length === MOST_LISTED) break;
      // Within its grace one is still there.
      members.push({ user, connections: Math.max(1, connections) });
    }
    return { members, more: (all?.size ?? 0) - members.length };
  }

  /** Nobody is told of anything more. */
  stop(): void {
    for (const members of this.#channels.values()) {
      for (const stay of members.values()) this.#leaving.delete(stay);
    }
    this.#channels.clear();
    this.#members = 0;
  }

  #left(stay: Stay): void {
    const { channel, user } = stay;
    const members = this.#channels.get(channel);
    if (members === undefined || stay.connections > 0 || !members.delete(user)) return;
    this.#members--;
    if (members.size === 0) this.#channels.delete(channel);
    if (user !== null && members.size < MOST_TOLD) this.#options.onLeave(channel, user);
  }
}
