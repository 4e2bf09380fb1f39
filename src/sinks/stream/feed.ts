/**
 * The live side of a stream: hands each event's frames to the readers that are there, and keeps the last few in a ring,
 * so that a reader who has paged up to where the index ends can join without a hole.
 *
 * A reader is *live* (it has everything up to `published`) or it pages through the index. It joins when its position is
 * not below the ring's floor: what the ring has after it is handed over, then it is live. A reader that can't keep up
 * falls out of the live ones and pages again. So memory holds one ring, however many readers stall.
 */
import type { ChannelSelection, StreamFrame } from "../../component.ts";
import type { Seq } from "../../event.ts";
import { compilePattern } from "../../pattern.ts";
import { compileSelection } from "./channels.ts";
import { type Prefetched, prefetching } from "./prefetch.ts";

/**
 * Covers what the index is behind: what gathers before it is written (delivery/stream-worker.ts) and one commit of its thread.
 * Where it doesn't (large bodies, a full disk), who comes waits until the index has it.
 */
const RING_BYTES = 4 * 1024 * 1024;
const RING_GROUPS = 4096;

/** What a kept frame counts for beyond its body. */
const FRAME_OVERHEAD = 200;

/** The one frame of a group that has no other. */
const ONLY: readonly number[] = [0];

/** The frames of one event, and how they are written, made once for all readers that get the same of them. */
export class Group {
  readonly seq: Seq;
  readonly frames: readonly StreamFrame[];
  readonly #encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer;
  /** By place, of one frame alone: what nearly all readers are given. */
  readonly #single: (Buffer | undefined)[] = [];
  #chunks: Map<string, Buffer> | null = null;

  constructor(
    seq: Seq,
    frames: readonly StreamFrame[],
    encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer,
  ) {
    this.seq = seq;
    this.frames = frames;
    this.#encode = encode;
  }

  /** The bytes of the frames at `matched`, shared between all who ask for the same ones. */
  chunk(matched: readonly number[]): Buffer {
    if (matched.length === 1) {
      return (this.#single[matched[0] as number] ??= this.#encode(this.seq, this.pick(matched)));
    }
    const key = matched.join();
    this.#chunks ??= new Map();
    let chunk = this.#chunks.get(key);
    if (!chunk) this.#chunks.set(key, (chunk = this.#encode(this.seq, this.pick(matched))));
    return chunk;
  }

  pick(matched: readonly number[]): StreamFrame[] {
    return matched.map((at) => this.frames[at] as StreamFrame);
  }

  get bytes(): number {
    return this.frames.reduce((sum, { body }) => sum + 2 * body.byteLength + FRAME_OVERHEAD, 0);
  }
}

/** One who is handed frames as they come. */
export interface Follower extends Prefetched {
  readonly selection: ChannelSelection;
  /** Takes some of a group's frames. False: no more for now; it falls out and has noted its position. */
  receive(group: Group, matched: readonly number[]): boolean;
  /** It falls out with what it has: the feed can't vouch for what comes next to that. `lapsed`: some of it is no more. */
  fallBack(lapsed: boolean): void;
}

interface PatternFollowers {
  readonly matches: (channel: string) => boolean;
  readonly followers: Set<Follower>;
}

/** Compiled once for all who have the very same selection: after a restart thousands join at once. */
const compiled = new WeakMap<ChannelSelection, (channel: string) => boolean>();

function wantsOf(selection: ChannelSelection): (channel: string) => boolean {
  let wants = compiled.get(selection);
  if (wants === undefined) compiled.set(selection, (wants = compileSelection(selection)));
  return wants;
}

export class Feed {
  readonly #encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer;
  readonly #byChannel = new Map<string, Set<Follower>>();
  readonly #byPattern = new Map<string, PatternFollowers>();
  #ring: Group[] = [];
  #ringBytes = 0;
  /** The ring has everything after it. */
  #floor: Seq = 0;
  #published: Seq = 0;

  constructor(encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer) {
    this.#encode = encode;
  }

  /** The last seq that was handed out; 0 when none was and none is known. */
  get published(): Seq {
    return this.#published;
  }

  /** Moves on to `seq` without frames, nobody being there yet: what lies up to it is for the history to give. */
  advance(seq: Seq): void {
    if (seq <= this.#published) return;
    this.#published = seq;
    this.forget();
  }

  /** What lies behind is for the history to give: it may have more of it. */
  forget(): void {
    this.#floor = this.#published;
    this.#ring = [];
    this.#ringBytes = 0;
  }

  /** A seq at or below `published` was handed out before (a repeat after a crash, or history being filled) and is dropped. */
  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    if (seq <= this.#published) return;
    this.#published = seq;
    if (frames.length === 0) return;
    const group = new Group(seq, frames, this.#encode);
    this.#hand(group);
    this.#keep(group);
  }

  /**
   * What lies up to `seq` and was not published was so by another: on a reload the sink that is being replaced hands out
   * what comes until this one is there to be handed it, and only the index has that. Who is live already follows it there.
   */
  takeOver(seq: Seq): void {
    if (seq <= this.#published) return;
    this.#dismiss(false);
    this.advance(seq);
  }

  /**
   * What lies up to `seq` and was not published never will be, and the history hasn't got it (it knows so by now, or
   * will): who follows learns of it there.
   */
  lapse(seq: Seq): void {
    if (seq <= this.#published) return;
    this.#dismiss(true);
    this.advance(seq);
  }

  #hand(group: Group): void {
    const [frame] = group.frames;
    if (frame !== undefined && group.frames.length === 1 && this.#byPattern.size === 0) {
      prefetching([...(this.#byChannel.get(frame.channel) ?? [])], (follower) => {
        if (!follower.receive(group, ONLY)) this.leave(follower);
      });
      return;
    }
    const recipients = this.#recipients(group.frames);
    const matched = [...recipients.values()];
    prefetching([...recipients.keys()], (follower, nth) => {
      if (!follower.receive(group, matched[nth] as number[])) this.leave(follower);
    });
  }

  /** All go and look into the history. */
  #dismiss(lapsed: boolean): void {
    for (const follower of this.#followers()) {
      follower.fallBack(lapsed);
      this.leave(follower);
    }
  }

  /**
   * Makes a follower who has everything up to `position` live. False: the ring doesn't reach back so far, or it took
   * no more on the way; then it has to page.
   */
  join(follower: Follower, position: Seq): boolean {
    if (position < this.#floor) return false;
    let at = this.#ring.length;
    while (at > 0 && (this.#ring[at - 1] as Group).seq > position) at--;
    const missed = this.#ring.slice(at);
    const wants = missed.length > 0 ? wantsOf(follower.selection) : null;
    for (const group of missed) {
      const matched: number[] = [];
      for (const [n, { channel }] of group.frames.entries()) if (wants?.(channel)) matched.push(n);
      if (matched.length > 0 && !follower.receive(group, matched)) return false;
    }
    const { exact, patterns } = follower.selection;
    for (const channel of exact) {
      const followers = this.#byChannel.get(channel);
      if (followers) followers.add(follower);
      else this.#byChannel.set(channel, new Set([follower]));
    }
    for (const pattern of patterns) {
      const entry = this.#byPattern.get(pattern);
      if (entry) entry.followers.add(follower);
      else this.#byPattern.set(pattern, { matches: compilePattern(pattern), followers: new Set([follower]) });
    }
    return true;
  }

  leave(follower: Follower): void {
    for (const channel of follower.selection.exact) {
      const followers = this.#byChannel.get(channel);
      if (followers?.delete(follower) && followers.size === 0) this.#byChannel.delete(channel);
    }
    for (const pattern of follower.selection.patterns) {
      const entry = this.#byPattern.get(pattern);
      if (entry?.followers.delete(follower) && entry.followers.size === 0) this.#byPattern.delete(pattern);
    }
  }

  #followers(): Set<Follower> {
    const all = [
      ...this.#byChannel.values(),
      ...[...this.#byPattern.values()].map((entry) => entry.followers),
    ];
    return new Set(all.flatMap((followers) => [...followers]));
  }

  #recipients(frames: readonly StreamFrame[]): Map<Follower, number[]> {
    const recipients = new Map<Follower, number[]>();
    const add = (follower: Follower, n: number) => {
      const matched = recipients.get(follower);
      if (!matched) recipients.set(follower, [n]);
      // By a name and by a pattern at once: still one frame.
      else if (matched.at(-1) !== n) matched.push(n);
    };
    for (const [n, { channel }] of frames.entries()) {
      for (const follower of this.#byChannel.get(channel) ?? []) add(follower, n);
      for (const { matches, followers } of this.#byPattern.values()) {
        if (matches(channel)) for (const follower of followers) add(follower, n);
      }
    }
    return recipients;
  }

  #keep(group: Group): void {
    this.#ring.push(group);
    this.#ringBytes += group.bytes;
    while (this.#ringBytes > RING_BYTES || this.#ring.length > RING_GROUPS) {
      const shed = this.#ring.shift() as Group;
      this.#ringBytes -= shed.bytes;
      this.#floor = shed.seq;
    }
  }
}
