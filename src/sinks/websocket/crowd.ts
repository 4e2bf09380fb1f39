/** Who is there: for what goes round the journal, ephemeral messages and presence, which promise nothing. */
import { isPattern, literalName } from "../../pattern.ts";
import type { Clock } from "../../ports.ts";
import type { ChannelGrant } from "../stream/access/admission.ts";
import { textFrame } from "./frame.ts";
import { joined, left, type Member } from "./messages.ts";
import { Presence } from "./presence.ts";
import { Rooms } from "./rooms.ts";

/** One connection, as the others see it. */
export interface Guest {
  readonly user: string | null;
  /** Given something that it may miss. */
  offer(frame: Buffer): void;
}

export interface CrowdOptions {
  readonly clock: Clock;
  /** Whether any channel is ephemeral or has presence: else nobody is kept account of. */
  readonly wanted: boolean;
  readonly graceMs: number;
}

export class Crowd {
  readonly #wanted: boolean;
  readonly #rooms = new Rooms<Guest>();
  readonly #presence: Presence;
  /** Messages that were handed round, once each. */
  #handed = 0;

  constructor({ clock, wanted, graceMs }: CrowdOptions) {
    this.#wanted = wanted;
    this.#presence = new Presence({
      clock,
      graceMs,
      onJoin: (channel, user) => this.#give(channel, joined(channel, user), null),
      onLeave: (channel, user) => this.#give(channel, left(channel, user), null),
    });
  }

  /** Members of all channels. */
  get present(): number {
    return this.#presence.size;
  }

  get handed(): number {
    return this.#handed;
  }

  /** `name` as it was subscribed to. Who has come by a pattern looks on, and is no member. */
  enter(name: string, { ephemeral, presence }: ChannelGrant, guest: Guest): void {
    if (!this.#wanted) return;
    const channel = literalName(name);
    if (channel !== null && !ephemeral && !presence) return;
    if (channel !== null && presence) this.#presence.enter(channel, guest.user);
    this.#rooms.enter(name, guest);
  }

  leave(name: string, guest: Guest): void {
    if (!this.#wanted || !this.#rooms.leave(name, guest)) return;
    if (!isPattern(name)) this.#presence.leave(literalName(name) as string, guest.user);
  }

  /** `name` as it would be subscribed to. */
  members(name: string): { readonly members: readonly Member[]; readonly more: number } {
    return this.#presence.on(literalName(name) ?? name);
  }

  /** To all on the channel but the one who said it. */
  handRound(channel: string, text: string, from: Guest): void {
    this.#handed++;
    this.#give(channel, text, from);
  }

  stop(): void {
    this.#presence.stop();
  }

  #give(channel: string, text: string, except: Guest | null): void {
    const guests = this.#rooms.on(channel);
    if (guests.size === 0) return;
    const frame = textFrame(text);
    for (const guest of guests) if (guest !== except) guest.offer(frame);
  }
}
