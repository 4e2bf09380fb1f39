/**
 * The long poll: the same stream for clients that ask, and behind proxies that hold streams back.
 * `GET path?channel=a&since=41&wait=25s` with `Accept: application/json` → `{"events":[…],"next":57}`.
 */
import type { ChannelSelection, StreamFrame, StreamHistory } from "../../component.ts";
import { parseDuration } from "../../config/fields.ts";
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import { envelopeJson } from "../stream/envelope.ts";
import type { Feed, Follower, Group } from "../stream/feed.ts";
import type { Gap } from "../stream/position.ts";

/** Below the 30 s after which many proxies and clients give up. */
const MAX_WAIT_MS = 25_000;

/** Events in one answer, and what is wanted of the feed's before it is given. */
const ANSWER_FRAMES = 200;

/** How long until the index is asked again when it is behind the feed. */
const BEHIND_MS = 50;

/** `wait=25s`; none is 0. Null where it is no duration. */
export function parseWait(query: URLSearchParams): number | null {
  const written = query.get("wait");
  if (written === null) return 0;
  const ms = parseDuration(written);
  return ms === null ? null : Math.min(ms, MAX_WAIT_MS);
}

export interface PollAnswer {
  readonly events: readonly string[];
  readonly next: Seq;
  /** What lay before these events isn't there any more. */
  readonly gap?: Gap;
}

export function pollJson({ events, next, gap }: PollAnswer): string {
  const told = gap ? `,"gap":${JSON.stringify(gap)}` : "";
  return `{"events":[${events.join(",")}],"next":${next}${told}}\n`;
}

export interface PollOptions {
  readonly selection: ChannelSelection;
  readonly position: Seq;
  readonly feed: Feed;
  readonly history: StreamHistory;
  readonly clock: Clock;
  readonly waitMs: number;
  /** Aborts when the client is gone or the stream stops: what there is is answered. */
  readonly signal: AbortSignal;
}

/** Waits until there is something after `position`, at most `waitMs`. */
export async function poll(options: PollOptions): Promise<PollAnswer> {
  const { selection, feed, history, clock, waitMs, signal } = options;
  const deadline = clock.monotonic() + waitMs;
  let position = options.position;
  let missed = false;
  for (;;) {
    const live = new LivePoll(selection, position);
    if (feed.join(live, position)) {
      await live.wait(deadline - clock.monotonic(), clock, signal);
      feed.leave(live);
      missed ||= live.lapsed;
      if (live.fellBack && live.events.length === 0) continue;
      return {
        events: live.events,
        next: live.events.length > 0 ? live.position : Math.max(position, feed.published),
      };
    }
    if (live.events.length > 0) return { events: live.events, next: live.position };
    const page = await history.read(position, selection, ANSWER_FRAMES);
    const { oldest, newest } = await history.bounds();
    if (oldest > position) {
      const asked = position;
      position = oldest;
      // It came when the stream had nothing at all, and misses nothing; else retention has overtaken it.
      if (asked === 0 && !missed) continue;
      return { events: [], next: position, gap: { asked, oldest, newest } };
    }
    const behind = page.through === position;
    position = page.through;
    const events = page.frames.map((frame) => envelopeJson(frame.seq, frame));
    const late = behind && clock.monotonic() >= deadline;
    if (events.length > 0 || late || signal.aborted) return { events, next: position };
    if (behind) await pause(BEHIND_MS, clock, signal);
  }
}

/** Follows the feed until it has something. */
class LivePoll implements Follower {
  readonly selection: ChannelSelection;
  readonly events: string[] = [];
  position: Seq;
  fellBack = false;
  lapsed = false;
  #wake: (() => void) | null = null;

  constructor(selection: ChannelSelection, position: Seq) {
    this.selection = selection;
    this.position = position;
  }

  prefetch(): void {}

  receive(group: Group, matched: readonly number[]): boolean {
    if (group.seq <= this.position) return true;
    this.position = group.seq;
    this.events.push(...group.pick(matched).map((frame: StreamFrame) => envelopeJson(group.seq, frame)));
    this.#wake?.();
    return this.events.length < ANSWER_FRAMES;
  }

  fallBack(lapsed: boolean): void {
    this.fellBack = true;
    this.lapsed = lapsed;
    this.#wake?.();
  }

  async wait(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (this.events.length > 0 || ms <= 0) return;
    await pause(ms, clock, signal, (wake) => {
      this.#wake = wake;
    });
  }
}

function pause(
  ms: number,
  clock: Clock,
  signal: AbortSignal,
  waker?: (wake: () => void) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    waker?.(done);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done);
  });
}
