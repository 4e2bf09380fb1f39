/**
 * A configuration by chance, and how it changes from reload to reload. What each route makes of an event is said twice:
 * as the plan says it, for Leat to compile, and as a plain function, to hold that against.
 */
import { REPLAY_TYPE } from "../../src/event.ts";
import type { RetentionPlan, RoutePlan, SinkPlan, SinkPolicy, SourcePlan, Start } from "../../src/plan.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";
import type { Known } from "./truth.ts";

export const SOURCES = ["orders", "clicks", "jobs"] as const;
export const PUSHED = ["billing", "audit", "archive"] as const;
export const STREAMS = ["live"] as const;
export const COLORS = ["red", "green", "blue"] as const;

const MINUTE = 60_000;
const DAY = 86_400_000;

/** What the senders' events hold, and the receivers' replies. */
export interface Content {
  readonly n: number;
  readonly color: string;
  readonly level: number;
  readonly list: readonly number[];
}

export type Expected =
  | { readonly result: "filtered" | "dead" }
  | { readonly result: "message"; readonly body: string; readonly channel: string };

type Selection = "all" | "match" | "where" | "sum" | "both";
type Making = "bytes" | "map" | "jsonata" | "poison" | "cause";

interface TargetShape {
  readonly sink: string;
  readonly was: string | null;
  readonly start: Start;
}

interface RouteShape {
  readonly name: string;
  readonly from: readonly string[];
  readonly selection: Selection;
  readonly making: Making;
  readonly channel: string;
  readonly to: readonly TargetShape[];
}

/** One configuration as it was loaded. */
export class Configuration {
  readonly version: number;
  readonly routes: readonly RouteShape[];
  readonly policies: ReadonlyMap<string, SinkPolicy>;
  readonly plan: {
    readonly sources: readonly SourcePlan[];
    readonly sinks: readonly SinkPlan[];
    readonly routes: readonly RoutePlan[];
    readonly retention: RetentionPlan;
  };

  constructor(
    version: number,
    routes: readonly RouteShape[],
    policies: ReadonlyMap<string, SinkPolicy>,
    retention: RetentionPlan,
  ) {
    this.version = version;
    this.routes = routes;
    this.policies = policies;
    this.plan = {
      sources: SOURCES.map(source),
      sinks: [
        ...PUSHED.map((name) => pushed(name, policies.get(name) ?? null)),
        ...STREAMS.map((name) => stream(name)),
      ],
      routes: routes.map((route) => this.#route(route)),
      retention,
    };
  }

  /** What a route makes of an event for a sink; null where it isn't there, or names another. */
  expected(route: string, sink: string, event: Known, cause: Known | null): Expected | null {
    const shape = this.routes.find(({ name }) => name === route);
    if (shape === undefined || !shape.to.some((target) => target.sink === sink)) return null;
    // Whatever `from` says now: who owes it is settled by what it said when the event came.
    if (event.type === REPLAY_TYPE) return { result: "filtered" };
    if (!selects(shape.selection, event.content)) return { result: "filtered" };
    const body = made(shape.making, event, cause, this.version);
    if (body === null) return { result: "dead" };
    const color = event.content?.color;
    if (isStream(sink) && shape.channel !== "all" && color === undefined) return { result: "dead" };
    const channel = shape.channel === "all" ? "all" : `c.${color}`;
    return { result: "message", body, channel };
  }

  #route({ name, from, selection, making, channel, to }: RouteShape): RoutePlan {
    return {
      name,
      from,
      match: selection === "match" || selection === "both" ? { "body.color": ["red", "green"] } : null,
      where:
        { all: null, match: null, where: "body.level > 4", both: "body.level > 2" }[selection as "all"] ??
        (selection === "sum" ? "$sum(body.list) > 5" : null),
      to: to.map(({ sink, was, start }) => ({
        sink,
        subscription: isStream(sink) ? sink : `${name}/${sink}`,
        was,
        start,
        transform: transform(making, this.version),
        templates: isStream(sink) ? { channel: channel === "all" ? "all" : "c.{{ body.color }}" } : {},
        policy: this.policies.get(sink) ?? null,
      })),
    };
  }
}

export function isStream(sink: string): boolean {
  return (STREAMS as readonly string[]).includes(sink);
}

function selects(selection: Selection, content: Content | null): boolean {
  if (selection === "all") return true;
  if (content === null) return false;
  const { color, level, list } = content;
  const warm = color === "red" || color === "green";
  switch (selection) {
    case "match":
      return warm;
    case "where":
      return level > 4;
    case "both":
      return warm && level > 2;
    case "sum":
      return list.reduce((sum, each) => sum + each, 0) > 5;
  }
}

function made(making: Making, event: Known, cause: Known | null, v: number): string | null {
  const { content } = event;
  if (making === "bytes") return event.body;
  if (making === "cause") return JSON.stringify({ n: cause?.content?.n, v });
  // An event of `leat`, which a person may replay anywhere, has none of these.
  if (content === null) return JSON.stringify({ v });
  const { n, color, level, list } = content;
  if (making === "map") return JSON.stringify({ n, c: color, v });
  if (making === "jsonata") return JSON.stringify({ n, sum: list.reduce((sum, each) => sum + each, 0), v });
  return level === 9 ? null : JSON.stringify({ n, v });
}

function transform(making: Making, v: number): RoutePlan["to"][number]["transform"] {
  switch (making) {
    case "bytes":
      return null;
    case "map":
      return { kind: "map", map: { n: "{{ body.n }}", c: "{{ body.color }}", v } };
    case "cause":
      return { kind: "map", map: { n: "{{ cause.body.n }}", v } };
    case "jsonata":
      return { kind: "jsonata", expression: `{"n": body.n, "sum": $sum(body.list), "v": ${v}}` };
    case "poison":
      return { kind: "jsonata", expression: `body.level = 9 ? body.absent : {"n": body.n, "v": ${v}}` };
  }
}

function source(name: string): SourcePlan {
  return {
    name,
    type: "simulated",
    config: {},
    decode: "json",
    dedupeMs: 3 * DAY,
    id: null,
    eventType: null,
    key: null,
  };
}

function pushed(name: string, policy: SinkPolicy | null): SinkPlan {
  const givesBack = name === "billing";
  return { name, type: "simulated", kind: "pushed", config: {}, policy, templates: {}, givesBack };
}

function stream(name: string): SinkPlan {
  const config = { history: { age: DAY } };
  return { name, type: "sse", kind: "stream", config, policy: null, templates: {}, givesBack: false };
}

// --------------------------------------------------------------------------------------------------------- by chance

export function firstConfiguration(chance: SeededChance, retention: RetentionPlan): Configuration {
  const policies = new Map(PUSHED.map((name) => [name, policy(chance)] as const));
  return new Configuration(1, routes(chance), policies, retention);
}

/** As a person edits the file: something is taken away, put back, renamed, selected or made otherwise. */
export function nextConfiguration(before: Configuration, chance: SeededChance): Configuration {
  const { version, plan } = before;
  const policies = new Map(before.policies);
  let next = [...before.routes];
  const change = chance.pick(["remove", "back", "rename", "select", "make", "sources", "policy", "all"]);
  const at = chance.below(next.length);
  const route = next[at];
  if (route === undefined || change === "back") next = putBack(next, chance);
  else if (change === "remove") next.splice(at, 1);
  else if (change === "rename") next[at] = renamed(route, version);
  else if (change === "select") next[at] = { ...route, selection: selection(route, chance) };
  else if (change === "make") next[at] = { ...route, making: making(route, chance) };
  else if (change === "sources") next[at] = { ...route, from: feeds(route.name, chance) };
  else if (change === "policy") policies.set(chance.pick(PUSHED), policy(chance));
  else next = routes(chance);
  return new Configuration(version + 1, settledNames(next, before.routes), policies, plan.retention);
}

/** Everything that any of these had is there, so that what was owed can be worked off. */
export function wholeConfiguration(
  before: Configuration,
  names: ReadonlySet<string>,
  chance: SeededChance,
): Configuration {
  const next = settledNames([...before.routes], before.routes);
  const present = new Set(next.flatMap(({ name, to }) => to.map(({ sink }) => `${name}/${sink}`)));
  for (const name of names) {
    if (present.has(name) || !name.includes("/")) continue;
    const [route = "", sink = ""] = name.split("/");
    const there = next.findIndex((one) => one.name === route);
    const target: TargetShape = { sink, was: null, start: "now" };
    if (there === -1) next.push({ ...shape(route, chance), to: [target] });
    else next[there] = { ...next[there]!, to: [...next[there]!.to, target] };
  }
  for (const route of routes(chance)) {
    if (!next.some(({ to }) => to.some(({ sink }) => isStream(sink))) && route.name === "show")
      next.push(route);
  }
  return new Configuration(before.version + 1, next, before.policies, before.plan.retention);
}

function routes(chance: SeededChance): RouteShape[] {
  return ["pay", "log", "after", "alerts", "show", "work"].map((name) => shape(name, chance));
}

/** The route of a name, whose first letters say what it is for; what it selects and makes is by chance. */
function shape(name: string, chance: SeededChance): RouteShape {
  const [kind = ""] = name.split("-");
  const sinks = { pay: ["billing"], log: ["audit"], after: ["audit"], alerts: ["archive"], show: ["live"] };
  const to = sinks[kind as keyof typeof sinks] ?? ["live", "archive"];
  const start: Start = kind === "log" && chance.odds(0.5) ? "beginning" : "now";
  const route: RouteShape = {
    name,
    from: feeds(name, chance),
    selection: "all",
    making: "bytes",
    channel: chance.pick(["all", "color"]),
    to: to.map((sink) => ({ sink, was: null, start: isStream(sink) ? "now" : start })),
  };
  const chosen = { ...route, selection: selection(route, chance) };
  return { ...chosen, making: making(chosen, chance), channel: kind === "alerts" ? "all" : route.channel };
}

function feeds(name: string, chance: SeededChance): readonly string[] {
  const [kind] = name.split("-");
  if (kind === "after") return ["billing"];
  if (kind === "alerts") return ["leat"];
  return chance.pick([["orders"], ["orders", "clicks"], ["orders", "clicks", "jobs"], ["clicks", "jobs"]]);
}

function selection({ name }: RouteShape, chance: SeededChance): Selection {
  return name.startsWith("alerts") ? "all" : chance.pick(["all", "all", "match", "where", "sum", "both"]);
}

function making({ name }: RouteShape, chance: SeededChance): Making {
  if (name.startsWith("alerts")) return "bytes";
  if (name.startsWith("after")) return chance.pick(["cause", "bytes"]);
  return chance.pick(["bytes", "map", "jsonata", "poison"]);
}

function putBack(now: readonly RouteShape[], chance: SeededChance): RouteShape[] {
  const kinds = new Set(now.map(({ name }) => name.split("-")[0]));
  const missing = routes(chance).filter(({ name }) => !kinds.has(name));
  return [...now, ...missing.slice(0, 1)];
}

function renamed(route: RouteShape, version: number): RouteShape {
  const name = `${route.name.split("-")[0]}-${version}`;
  const to = route.to.map((target) =>
    isStream(target.sink) ? target : { ...target, was: `${route.name}/${target.sink}` },
  );
  return { ...route, name, to };
}

/** `was` is taken out again once it has done its work. */
function settledNames(next: readonly RouteShape[], before: readonly RouteShape[]): RouteShape[] {
  const known = new Set(before.map(({ name }) => name));
  return next.map((route) =>
    known.has(route.name) ? { ...route, to: route.to.map((target) => ({ ...target, was: null })) } : route,
  );
}

function policy(chance: SeededChance): SinkPolicy {
  const small = chance.odds(0.15);
  return {
    retry: {
      initialMs: 1000,
      factor: 2,
      maxWaitMs: 30_000,
      maxAgeMs: small ? { keyed: 30_000, unkeyed: MINUTE } : { keyed: 2 * MINUTE, unkeyed: 10 * MINUTE },
      jitter: 0.2,
      maxAttempts: chance.odds(0.5) ? null : 4,
      scheduleMs: chance.odds(0.8) ? null : [500, 2000, 9000],
      deadOn: { keyed: [422], unkeyed: chance.odds(0.5) ? [] : [422] },
    },
    breaker: { failures: 3, probeMs: 5000, maxMs: 20_000 },
    backlog: { ageMs: small ? 90_000 : 4 * DAY, size: { bytes: small ? 4000 : 1 << 30 } },
    timeoutMs: 2000,
    concurrency: 1 + chance.below(4),
    rate: chance.odds(0.8) ? null : { count: 5, perMs: 1000 },
    order: chance.odds(0.7) ? "key" : "none",
    onDead: chance.odds(0.7) ? "skip" : "hold",
  };
}
