/** Which channels one client is on, as it asked for them and as it is told; and who else is on them. */
import type { Socket } from "node:net";
import type { Admission } from "../stream/access/admission.ts";
import type { Broadcast } from "../stream/broadcast.ts";
import { grantOf, MANY_PATTERNS, tooManyPatterns } from "../stream/channels.ts";
import type { Outlet } from "../stream/outlet.ts";
import type { Gap } from "../stream/position.ts";
import { SLOW } from "./close.ts";
import { JoinedChannels, type JoinedChannelsOwner } from "./joined-channels.ts";
import type { Line } from "./line.ts";
import * as say from "./messages.ts";
import type { ClientMessage } from "./parse.ts";

export class Memberships implements JoinedChannelsOwner {
  readonly #line: Line;
  readonly #broadcast: Broadcast;
  readonly #socket: Socket;
  readonly #joined: JoinedChannels;
  /** Of those that were asked for and not told yet; null: none. */
  #refs: Map<string, say.Ref> | null = null;

  constructor(line: Line, broadcast: Broadcast, outlet: Outlet, socket: Socket) {
    this.#line = line;
    this.#broadcast = broadcast;
    this.#socket = socket;
    this.#joined = new JoinedChannels(broadcast, outlet, this);
  }

  subscribe(message: Extract<ClientMessage, { type: "subscribe" }>, admission: Admission): void {
    const { channel, since, ref } = message;
    if (this.#joined.has(channel)) {
      const position = this.#joined.position() ?? this.#broadcast.feed.published;
      this.#line.tell(say.subscribed(channel, position, ref));
      return;
    }
    const { maxChannels } = this.#line.common;
    if (this.#joined.size >= maxChannels) {
      const message = `A connection has at most ${maxChannels} channels; a pattern may do.`;
      this.#line.refuse({ code: "too_many_channels", message, ref, channel });
      return;
    }
    if (grantOf(admission, channel) === null) {
      this.#refuseChannel(channel, ref);
      return;
    }
    if (tooManyPatterns(admission, [...this.#joined.names(), channel])) {
      this.#line.refuse({ code: "too_many_patterns", message: MANY_PATTERNS, ref, channel });
      return;
    }
    if (ref !== undefined) (this.#refs ??= new Map()).set(channel, ref);
    this.#joined.join(channel, since);
  }

  unsubscribe(channel: string, ref?: say.Ref): void {
    this.#part(channel);
    this.#line.tell(say.unsubscribed(channel, ref));
  }

  /** Leaves those that aren't granted any more. */
  narrow(admission: Admission): void {
    for (const name of this.#joined.names()) {
      if (grantOf(admission, name) !== null) continue;
      this.#part(name);
      this.#line.tell(say.unsubscribed(name, undefined, "revoked"));
    }
  }

  tellPresence(channel: string, admission: Admission, ref?: say.Ref): void {
    const grant = grantOf(admission, channel);
    if (grant === null) this.#refuseChannel(channel, ref);
    else if (!grant.presence) {
      const message = "Nobody is told who is on this channel.";
      this.#line.refuse({ code: "no_presence", message, ref, channel });
    } else {
      const { members, more } = this.#line.common.crowd.members(channel);
      this.#line.tell(say.presence(channel, members, more, ref));
    }
  }

  isOn(channel: string): boolean {
    return this.#joined.has(channel);
  }

  names(): readonly string[] {
    return this.#joined.names();
  }

  /** As `JoinedChannels`. */
  merge(): void {
    this.#joined.merge();
  }

  /** As `JoinedChannels`. */
  flush(): void {
    this.#joined.flush();
  }

  /** Up to where it has everything; null: that isn't known now. */
  position(): number | null {
    return this.#joined.size === 0 ? this.#broadcast.feed.published : this.#joined.position();
  }

  leave(): void {
    for (const name of this.#joined.names()) this.#line.common.crowd.leave(name, this.#line);
    this.#joined.close();
  }

  joined(names: readonly string[], position: number, gap: Gap | null): void {
    const { admission, common } = this.#line;
    this.#socket.cork();
    for (const name of names) {
      this.#line.tell(say.subscribed(name, position, this.#refOf(name)));
      if (gap !== null) this.#line.tell(say.gap(gap, name));
      const grant = admission && grantOf(admission, name);
      if (grant) common.crowd.enter(name, grant, this.#line);
    }
    this.#socket.uncork();
  }

  notJoined(names: readonly string[], err: unknown): void {
    this.#line.common.log.error({ err }, "a stream's history could not be read");
    for (const name of names) {
      const message = "Its history can't be read now; try again in a moment.";
      const ref = this.#refOf(name);
      this.#line.tell(say.error({ code: "unavailable", message, ref, channel: name, retry_ms: 5000 }));
    }
  }

  tooSlow(): void {
    this.#line.close(SLOW, "slow");
  }

  failed(error: unknown): void {
    this.#line.failed(error);
  }

  #part(name: string): void {
    if (!this.#joined.has(name)) return;
    this.#joined.leave(name);
    this.#refs?.delete(name);
    this.#line.common.crowd.leave(name, this.#line);
  }

  #refOf(name: string): say.Ref | undefined {
    const ref = this.#refs?.get(name);
    this.#refs?.delete(name);
    if (this.#refs?.size === 0) this.#refs = null;
    return ref;
  }

  #refuseChannel(channel: string, ref?: say.Ref): void {
    const message = "This channel isn't open to this client.";
    this.#line.refuse({ code: "channel_not_allowed", message, ref, channel });
  }
}
