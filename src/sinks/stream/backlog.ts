/**
 * What waits for a slow reader that may miss some of it, by the policy of each frame's channel:
 *
 * - `close`: none of it may be missing. Beyond the bound the reader goes back to the index, and is closed where it takes
 *   nothing for too long: it comes back with its position.
 * - `drop_oldest`: the oldest are dropped, when there are too many bytes or they are too old.
 * - `latest`: of each key in a channel only the newest waits; beyond the bound the oldest are dropped.
 *
 * What is dropped is counted, and told to the reader before what comes next. Pure: the clock is passed in.
 */
import type { Seq } from "../../event.ts";
import type { Group } from "./feed.ts";

export type SlowPolicy = "close" | "drop_oldest" | "latest";

/** What a reader missed of a channel since it was told last. */
export interface Dropped {
  readonly channel: string;
  readonly count: number;
  /** None that is newer was dropped. */
  readonly through: Seq;
}

interface Waiting {
  readonly group: Group;
  /** Its place in the group. */
  readonly n: number;
  readonly channel: string;
  readonly policy: SlowPolicy;
  /** Under which its successor takes its place; null: under none. */
  readonly key: string | null;
  readonly at: number;
  readonly bytes: number;
}

export interface BacklogBounds {
  readonly bytes: number;
  /** In ms, for what may be dropped for its age. */
  readonly age: number;
}

export class Backlog {
  /** Everything up to here was taken out, or lay before it. */
  position: Seq;
  readonly #policy: (channel: string) => SlowPolicy;
  /** In the order in which they came: a `Map` keeps it whatever is taken from its middle. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #newest = new Map<string, number>();
  #dropped = new Map<string, { count: number; through: Seq }>();
  #bytes = 0;
  #number = 0;

  constructor(position: Seq, policy: (channel: string) => SlowPolicy) {
    this.position = position;
    this.#policy = policy;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** False: what may not be dropped is more than the bound. */
  push(group: Group, matched: readonly number[], now: number, bounds: BacklogBounds): boolean {
    for (const n of matched) this.#add(group, n, now);
    this.#dropOld(now - bounds.age);
    if (this.#bytes > bounds.bytes) this.#dropOver(bounds.bytes);
    return this.#bytes <= bounds.bytes;
  }

  /** What was dropped since this was last asked. */
  told(): Dropped[] {
    const dropped = [...this.#dropped].map(([channel, { count, through }]) => ({ channel, count, through }));
    this.#dropped = new Map();
    return dropped;
  }

  /** The frames of the next group that wait; null when none do. */
  take(now: number, { age }: BacklogBounds): { readonly group: Group; readonly matched: number[] } | null {
    this.#dropOld(now - age);
    let group: Group | null = null;
    const matched: number[] = [];
    for (const [number, waiting] of this.#waiting) {
      if (group !== null && waiting.group !== group) break;
      group = waiting.group;
      matched.push(waiting.n);
      this.#remove(number, waiting);
    }
    if (group === null) return null;
    this.position = group.seq;
    return { group, matched };
  }

  #add(group: Group, n: number, at: number): void {
    const { channel, key: eventKey, body } = group.frames[n] as Group["frames"][number];
    const policy = this.#policy(channel);
    const key = policy === "latest" ? JSON.stringify([channel, eventKey ?? null]) : null;
    const before = key === null ? undefined : this.#newest.get(key);
    if (before !== undefined) this.#drop(before, this.#waiting.get(before) as Waiting);
    const number = ++this.#number;
    const waiting = { group, n, channel, policy, key, at, bytes: body.byteLength + FRAME_OVERHEAD };
    this.#waiting.set(number, waiting);
    this.#bytes += waiting.bytes;
    if (key !== null) this.#newest.set(key, number);
  }

  #dropOld(before: number): void {
    for (const [number, waiting] of this.#waiting) {
      if (waiting.at >= before) return;
      if (waiting.policy === "drop_oldest") this.#drop(number, waiting);
    }
  }

  #dropOver(bytes: number): void {
    for (const [number, waiting] of this.#waiting) {
      if (this.#bytes <= bytes) return;
      if (waiting.policy !== "close") this.#drop(number, waiting);
    }
  }

  #drop(number: number, waiting: Waiting): void {
    const { channel, group } = waiting;
    const { count = 0, through = 0 } = this.#dropped.get(channel) ?? {};
    this.#dropped.set(channel, { count: count + 1, through: Math.max(through, group.seq) });
    this.#remove(number, waiting);
  }

  #remove(number: number, { bytes, key }: Waiting): void {
    this.#waiting.delete(number);
    this.#bytes -= bytes;
    if (key !== null) this.#newest.delete(key);
  }
}

/** What a waiting frame takes beside its body, which it may share with others. */
const FRAME_OVERHEAD = 200;
