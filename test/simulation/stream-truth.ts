/** What a stream's readers are to get: of each event, under each configuration that may have held, its frames. */
import assert from "node:assert/strict";
import type { StreamFrame } from "../../src/component.ts";
import { REPLAY_TYPE, type Seq } from "../../src/event.ts";
import type { Known, Truth } from "./truth.ts";

export interface Frame {
  readonly channel: string;
  readonly data: string;
}

export class StreamTruth {
  readonly stream: string;
  readonly #truth: Truth;
  readonly #known = new Map<Seq, { readonly configurations: number; readonly frames: readonly Frame[][] }>();

  constructor(stream: string, truth: Truth) {
    this.stream = stream;
    this.#truth = truth;
  }

  /** What may be handed out at a seq; more than one way, if a reload came between. */
  possible(seq: Seq): readonly Frame[][] {
    const { length } = this.#truth.configurations;
    let known = this.#known.get(seq);
    if (known?.configurations !== length) {
      known = { configurations: length, frames: this.#possible(seq) };
      this.#known.set(seq, known);
    }
    return known.frames;
  }

  /** A person let some of it go, or the backlog's bound: readers are told of a gap, unless the index still gets it. */
  get lapsed(): boolean {
    const owed = this.#truth.subscription(this.stream);
    return owed !== undefined && owed.everLetGoThrough + owed.expired.size > 0;
  }

  #letGo(seq: Seq): boolean {
    const owed = this.#truth.subscription(this.stream);
    return owed !== undefined && (seq <= owed.everLetGoThrough || owed.expired.has(seq));
  }

  /** The stream hands an event's frames to its readers. */
  published(seq: Seq, frames: readonly StreamFrame[], last: Seq): void {
    assert.ok(this.#truth.events.has(seq), `J1: ${this.stream} hands out ${seq}, which is not on disk`);
    assert.ok(seq > last, `J5: ${this.stream} hands out ${seq} after ${last}`);
    const got = frames.map(({ channel, body }) => ({ channel, data: Buffer.from(body).toString() }));
    if (got.length > 0 || !this.#letGo(seq)) this.check(seq, got, () => true);
    const event = this.#truth.events.get(seq)!;
    if (event.type !== REPLAY_TYPE) this.#truth.subscription(this.stream)!.at(seq, 0).yes = true;
  }

  /** A reader has got these of a seq, and wants those of these channels. */
  check(seq: Seq, got: readonly Frame[], wants: (channel: string) => boolean): void {
    const ways = this.possible(seq).map((frames) => shown(frames.filter(({ channel }) => wants(channel))));
    assert.ok(
      ways.includes(shown(got)) || (ways.length === 0 && got.length === 0),
      `J8: ${this.stream} ${seq}: got ${shown(got)}, of ${ways.join(" or ")}`,
    );
  }

  #possible(seq: Seq): Frame[][] {
    const event = this.#truth.events.get(seq);
    const owed = this.#truth.subscription(this.stream);
    if (event === undefined || owed === undefined) return [];
    const replay = event.type === REPLAY_TYPE && event.subject === this.stream;
    const routes: string[] = [];
    for (const [route, { owed: seqs }] of owed.routes) if (seqs.has(seq)) routes.push(route);
    const named = replay ? (JSON.parse(event.body) as { routes: string[] }).routes : routes;
    const of = replay ? this.#truth.events.get(this.#truth.original(seq)) : event;
    return of === undefined ? [] : this.#frames(of, named, event.since);
  }

  #frames(event: Known, routes: readonly string[], since: number): Frame[][] {
    const ways: Frame[][] = this.#truth.configurations.slice(since).map(() => []);
    for (const route of routes) {
      for (const [nth, each] of this.#truth.expected(route, this.stream, event, since).entries()) {
        if (each?.result === "message") ways[nth]?.push({ channel: each.channel, data: each.body });
      }
    }
    return ways;
  }
}

function shown(frames: readonly Frame[]): string {
  return frames
    .map(({ channel, data }) => `${channel}: ${data}`)
    .sort()
    .join(", ");
}
