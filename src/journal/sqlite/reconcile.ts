/**
 * What a reload makes of a subscription's spans : it takes effect at one seq S, so that what came up to S has the
 * routes from before, and what comes after has those from now on. Pure: the writer calls it inside the commit that is the
 * reload, with S being the last seq appended.
 */
import type { Seq } from "../../event.ts";
import type { RouteFeed, SubscriptionDefinition } from "../journal.ts";
import type { RouteSpans, Span } from "./feeds.ts";

/** Where a `start` lies: the last seq before it. */
export type StartAt = (start: RouteFeed["start"]) => Seq;

/** The spans of a subscription that is new. */
export function newSpans(definition: SubscriptionDefinition, at: Seq, startAt: StartAt): RouteSpans[] {
  return definition.routes.map(({ route, sources, start }) => ({
    route,
    spans: [{ after: startAt(start), until: null, sources, counted: at }],
  }));
}

/** The spans of one that is there: what it owed stays, what it owes from now on follows the definition. */
export function changedSpans(
  before: readonly RouteSpans[],
  definition: SubscriptionDefinition,
  at: Seq,
  startAt: StartAt,
  settledThrough: Seq,
): RouteSpans[] {
  const known = new Map(renamed(before, definition).map((route) => [route.route, route]));
  // Its place is past what a route now brings of the past: that goes to its index alone.
  const goesOn = definition.kind === "stream" && before.some(isOpen);
  const changed: RouteSpans[] = definition.routes.map((feed) => {
    const old = known.get(feed.route);
    known.delete(feed.route);
    if (old === undefined) {
      const after = definition.kind === "stream" ? startAt(feed.start) : at;
      return joined({ route: feed.route, spans: [begin(feed, after, at)] }, at);
    }
    const spans = changedRoute(old.spans, feed, at, startAt, settledThrough);
    return goesOn && !isOpen(old) ? joined({ route: feed.route, spans }, at) : { ...old, spans };
  });
  // Routes that no longer name it owe up to here.
  for (const { route, spans } of known.values()) {
    const ended = endSpans(spans, at, settledThrough);
    if (ended.length > 0) changed.push({ route, spans: ended });
  }
  return changed;
}

/** The spans of a subscription that is gone from the definitions. */
export function endedSpans(before: readonly RouteSpans[], at: Seq): RouteSpans[] {
  return before.map((route) => ({ ...route, spans: endSpans(route.spans, at, 0) }));
}

/**
 * Where one that was removed goes on when it is added back: if nothing is owed before its new start, there, though its
 * cursor may have run ahead over what nobody owed.
 */
export function resumeAt(cursor: Seq, until: Seq, routes: readonly RouteSpans[]): Seq {
  const starts = routes.flatMap(({ spans, unindexed }) =>
    spans.filter((s) => s.until === null).map(({ after }) => Math.max(after, unindexed?.through ?? 0)),
  );
  return cursor >= until ? Math.min(cursor, ...starts) : cursor;
}

function changedRoute(
  spans: readonly Span[],
  feed: RouteFeed,
  at: Seq,
  startAt: StartAt,
  settledThrough: Seq,
): Span[] {
  const open = spans.find(({ until }) => until === null);
  if (open !== undefined && sameSources(open.sources, feed.sources)) return [...spans];
  const ended = endSpans(spans, at, settledThrough);
  if (open !== undefined) return [...ended, begin(feed, at, at)];
  // Added back: what it accepted before its removal it accepts no second time.
  const last = Math.max(0, ...spans.map(({ until }) => until ?? 0));
  return [...ended, begin(feed, Math.max(last, startAt(feed.start)), at)];
}

/** A route in a stream that has been read up to `at`, or nearly: what it owns of before is for the index. */
function joined(route: RouteSpans, at: Seq): RouteSpans {
  const after = route.spans.find(({ until }) => until === null)?.after ?? at;
  return after < at ? { ...route, unindexed: { after, through: at } } : route;
}

function isOpen({ spans }: RouteSpans): boolean {
  return spans.some(({ until }) => until === null);
}

function begin({ sources }: RouteFeed, after: Seq, at: Seq): Span {
  return { after, until: null, sources, counted: at };
}

/** Ends what is open; what is settled altogether is forgotten, but for the last, whose end a new start respects. */
function endSpans(spans: readonly Span[], at: Seq, settledThrough: Seq): Span[] {
  const ended = spans.map((span) => ({ ...span, until: span.until ?? at }));
  return ended.filter((span, nth) => nth === ended.length - 1 || span.until > settledThrough);
}

/** A pushed subscription has one route; where that has another name now, it is the same account. */
function renamed(
  before: readonly RouteSpans[],
  { kind, routes }: SubscriptionDefinition,
): readonly RouteSpans[] {
  const [old, ...others] = before;
  const [route] = routes;
  if (kind !== "pushed" || old === undefined || others.length > 0 || route === undefined) return before;
  return [{ ...old, route: route.route }];
}

function sameSources(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((source) => b.includes(source));
}
