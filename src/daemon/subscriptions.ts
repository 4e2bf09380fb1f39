/** What the routes of a plan owe to whom: the subscriptions that the ledger keeps. */
import type { SubscriptionDefinition } from "../journal/journal.ts";
import type { BacklogPolicy, Plan, RoutePlan, SinkPolicy, TargetPlan } from "../plan.ts";

/** One for each target of a pushed sink, and one for each stream with all the routes that name it. */
export function definitionsOf(plan: Plan): SubscriptionDefinition[] {
  const sinks = new Map(plan.sinks.map((sink) => [sink.name, sink]));
  const definitions: SubscriptionDefinition[] = [];
  const streams = new Map<string, [RoutePlan, TargetPlan][]>();
  for (const route of plan.routes) {
    for (const target of route.to) {
      const policy = target.policy ?? sinks.get(target.sink)?.policy ?? null;
      if (policy !== null) {
        definitions.push(pushed(route, target, policy, plan));
        continue;
      }
      const feeds = streams.get(target.sink);
      if (feeds === undefined) streams.set(target.sink, [[route, target]]);
      else feeds.push([route, target]);
    }
  }
  for (const [name, feeds] of streams) definitions.push(stream(name, feeds, plan));
  return definitions;
}

/** The former names of streams (`was`), where nothing else bears them now. */
export function formerNames(plan: Plan): ReadonlyMap<string, string> {
  const definitions = definitionsOf(plan);
  const names = new Set(definitions.map(({ name }) => name));
  return new Map(
    definitions.flatMap(({ kind, name, was }): [string, string][] =>
      kind !== "stream" || was === null || names.has(was) ? [] : [[name, was]],
    ),
  );
}

function pushed(
  route: RoutePlan,
  target: TargetPlan,
  policy: SinkPolicy,
  plan: Plan,
): SubscriptionDefinition {
  const { order, onDead, concurrency, backlog } = policy;
  return {
    name: target.subscription,
    sink: target.sink,
    kind: "pushed",
    routes: [{ route: route.name, sources: route.from, start: target.start }],
    order,
    onDead,
    concurrency,
    backlog: { ageMs: backlog.ageMs, bytes: backlogBytes(backlog, plan) },
    was: target.was,
  };
}

/** Evaluated ahead of the one whose turn it is, so that a transform that waits doesn't hold up the next one's. */
const STREAM_CONCURRENCY = 64;

/** A stream's backlog is bounded by retention alone: nobody outside can hold it up. */
function stream(name: string, feeds: readonly [RoutePlan, TargetPlan][], plan: Plan): SubscriptionDefinition {
  return {
    name,
    sink: name,
    kind: "stream",
    routes: feeds.map(([route, target]) => ({
      route: route.name,
      sources: route.from,
      start: target.start,
    })),
    order: "seq",
    onDead: "skip",
    concurrency: STREAM_CONCURRENCY,
    backlog: { ageMs: plan.retention.ageMs, bytes: plan.retention.bytes },
    was: feeds.find(([, target]) => target.was !== null)?.[1].was ?? null,
  };
}

function backlogBytes({ size }: BacklogPolicy, plan: Plan): number {
  return "bytes" in size ? size.bytes : Math.floor(size.share * plan.retention.bytes);
}
