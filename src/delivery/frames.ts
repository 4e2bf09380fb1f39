/** What an event's routes yield for a stream: frames for its channels, and an outcome for each route. */
import type { StreamFrame } from "../component.ts";
import type { Event, NewEvent } from "../event.ts";
import type { Lease, Settlement } from "../journal/journal.ts";
import type { Prepared } from "../prepared.ts";
import { raiseDead } from "./raise.ts";
import type { StreamTarget } from "./target.ts";
import { defect, isForNow, tooManyHops, unprepared } from "./unprepared.ts";
import type { WorkerTools } from "./worker.ts";

type RouteOutcome = Extract<Settlement, { outcome: "streamed" }>["routes"][number];

export interface Rendered {
  readonly frames: readonly StreamFrame[];
  /** In the order of the lease's routes. */
  readonly outcomes: readonly RouteOutcome[];
  readonly raises: readonly NewEvent[];
}

export interface Failure {
  readonly error: string;
  readonly message: string;
}

/** A line's end or NUL in a channel could forge what goes over a stream's wire. */
const CONTROL = /\p{Cc}/u;

/** A stream goes by seq, so what a removed route owed can't wait in it: it stays as a dead letter. */
const REMOVED: Prepared = {
  result: "dead",
  error: "route_removed",
  expression: "",
  path: "",
  message: "the route was removed before the event came to the stream",
};

/** `prepared` holds what each of the lease's routes made of the event. */
export function renderFrames(
  { lease, target }: { readonly lease: Lease; readonly target: StreamTarget },
  prepared: readonly Prepared[],
  tools: WorkerTools,
): Rendered {
  const frames: StreamFrame[] = [];
  const raises: NewEvent[] = [];
  const outcomes = prepared.map((each, nth): RouteOutcome => {
    const route = lease.routes[nth] ?? "";
    if (each.result === "filtered") {
      tools.observer.filtered(route, target.stream, each.reason);
      return { outcome: "filtered" };
    }
    const made = frameOf(lease.event, each, target);
    if (each.result === "dead" && each.cause !== undefined) tools.defects.tell(`route ${route}`, each.cause);
    if ("error" in made) return bury(made, route);
    frames.push(made);
    return { outcome: "delivered" };
  });
  return { frames, outcomes, raises };

  function bury({ error, message }: Failure, route: string): RouteOutcome {
    const { stream } = target;
    tools.observer.undeliverable(route, stream, error);
    tools.log.warn(
      { subscription: stream, route, seq: lease.event.seq, error },
      "delivery dead: kept as a dead letter",
    );
    const death = { subscription: stream, route, sink: stream, error, message, status: null, attempts: 0 };
    raises.push(...raiseDead(lease, death, tools.clock.wall()));
    return { outcome: "dead", error, message };
  }
}

/**
 * What each of these routes makes of the event; no promise where a route needs none. A rejection says nothing of the
 * event, which is to be prepared again later.
 */
export function prepareRoutes(
  { event, cause, routes }: Pick<Lease, "event" | "cause" | "routes">,
  target: StreamTarget,
): (Prepared | Promise<Prepared>)[] {
  return routes.map((route): Prepared | Promise<Prepared> => {
    const prepare = target.routes.get(route);
    if (prepare === undefined) return REMOVED;
    try {
      const prepared = prepare(event, cause);
      return prepared instanceof Promise ? prepared.catch(asDefect) : prepared;
    } catch (error) {
      return isForNow(error) ? Promise.reject(error) : defect(error);
    }
  });
}

function asDefect(error: unknown): Prepared {
  if (isForNow(error)) throw error;
  return defect(error);
}

/** What a route made of an event, as the stream's readers get it, or why they can't. Counts nothing. */
export function frameOf(
  event: Event,
  prepared: Exclude<Prepared, { result: "filtered" }>,
  target: StreamTarget,
): StreamFrame | Failure {
  if (prepared.result === "dead") return unprepared(prepared);
  const { type, id, time, key } = event;
  const channel = prepared.fields.channel ?? "";
  return (
    tooManyHops({ event }) ??
    badChannel(target, channel) ?? { channel, type, id, time, body: prepared.body, key }
  );
}

/** Why nothing can go to this channel; null when it can. */
function badChannel(target: StreamTarget, channel: string): Failure | null {
  const bad = (message: string) => ({ error: "channel", message });
  if (channel === "") return bad("the channel is empty");
  if (CONTROL.test(channel)) return bad("the channel holds a control character");
  if (Buffer.byteLength(channel) > target.channelBytes) {
    return bad(`the channel is longer than ${target.channelBytes} bytes`);
  }
  return null;
}
