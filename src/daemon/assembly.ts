/**
 * The whole that a plan describes: its sources and sinks, made but not started. What the running whole has alike is
 * taken over from it, so that a reload doesn't touch what didn't change.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type HttpEndpoint,
  hasEndpoint,
  type PushedSink,
  type PushedSinkType,
  type SinkType,
  type Source,
  type SourceType,
  type StreamHost,
  type StreamSink,
  type StreamSinkType,
} from "../component.ts";
import { sinkTypes, sourceTypes } from "../components.ts";
import { isLoopback } from "../config/settings.ts";
import { LeatError } from "../errors.ts";
import type { Journal } from "../journal/journal.ts";
import type { Limits, Plan, Settings, SinkPlan, SourcePlan } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import type { Hosts } from "./hosts.ts";
import type { HostedSource } from "./source-host.ts";
import type { StandingRecord } from "./standings.ts";
import { formerNames } from "./subscriptions.ts";

export interface BuiltSource {
  readonly plan: SourcePlan;
  readonly component: Source;
  readonly standing: Pick<StandingRecord, "status">;
  readonly lastAt: HostedSource["lastAt"];
  /** It takes from a broker, as somebody: its successor is the same, and comes when it is gone. */
  readonly hasBroker: boolean;
  /** By which it was made: one that holds a message which was over them looks at it anew under others. */
  readonly limits: ArrivalLimits;
}

type ArrivalLimits = Pick<Limits, "brokerEventBytes" | "headers" | "headerBytes" | "idBytes" | "keyBytes">;

export type BuiltSink =
  | {
      readonly kind: "pushed";
      readonly plan: SinkPlan;
      readonly component: PushedSink;
      readonly standing: Pick<StandingRecord, "status">;
    }
  | { readonly kind: "stream"; readonly plan: SinkPlan; readonly component: StreamSink };

export interface Assembly {
  readonly plan: Plan;
  readonly sources: ReadonlyMap<string, BuiltSource>;
  readonly sinks: ReadonlyMap<string, BuiltSink>;
}

export interface AssemblyParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly server: Settings["server"];
  readonly hosts: Hosts;
  readonly limits: ArrivalLimits;
}

const EMPTY_PLAN = { sources: [], sinks: [], routes: [] } as const;

/** Makes what `plan` describes; no I/O. Throws a LeatError of kind `configuration` where a component can't be made. */
export function assemble(plan: Plan, before: Assembly | null, parts: AssemblyParts): Assembly {
  const sources = new Map<string, BuiltSource>();
  for (const source of plan.sources) {
    const same = before?.sources.get(source.name);
    const kept = same !== undefined && isDeepStrictEqual(same.plan, source) && !hasNewLimits(same, parts);
    sources.set(source.name, kept ? { ...same, plan: source } : makeSource(source, parts));
  }
  const former = formerNames(plan);
  const sinks = new Map<string, BuiltSink>();
  for (const sink of plan.sinks) {
    const same = before?.sinks.get(sink.name);
    const kept = same !== undefined && sameComponent(same.plan, sink);
    sinks.set(sink.name, kept ? { ...same, plan: sink } : makeSink(sink, former.get(sink.name), parts));
  }
  return { plan, sources, sinks };
}

function hasNewLimits({ hasBroker, limits }: BuiltSource, parts: AssemblyParts): boolean {
  return hasBroker && !isDeepStrictEqual(limits, arrivalLimits(parts));
}

function arrivalLimits({ limits }: Pick<AssemblyParts, "limits">): ArrivalLimits {
  const { brokerEventBytes, headers, headerBytes, idBytes, keyBytes } = limits;
  return { brokerEventBytes, headers, headerBytes, idBytes, keyBytes };
}

/** A sink's policy and templates belong to its subscriptions; only its own fields make it another one. */
function sameComponent(left: SinkPlan, right: SinkPlan): boolean {
  return left.type === right.type && isDeepStrictEqual(left.config, right.config);
}

function makeSource(plan: SourcePlan, parts: AssemblyParts): BuiltSource {
  const type: SourceType | undefined = sourceTypes.find((one) => one.type === plan.type);
  if (type === undefined) throw unknownType("source", plan);
  const { host, standing, lastAt } = parts.hosts.ofSource(plan, type);
  const hasBroker = type.connection !== undefined;
  return {
    plan,
    component: type.create(plan.config, host),
    standing,
    lastAt,
    hasBroker,
    limits: arrivalLimits(parts),
  };
}

function makeSink(
  plan: SinkPlan,
  former: string | undefined,
  { journal, clock, log, server, hosts }: AssemblyParts,
): BuiltSink {
  const { name } = plan;
  const type: SinkType | undefined = sinkTypes.find((one) => one.type === plan.type);
  if (type === undefined) throw unknownType("sink", plan);
  if (isPushed(type)) {
    const { host, standing } = hosts.ofSink(plan, type);
    return { kind: "pushed", plan, component: type.create(plan.config, host), standing };
  }
  const host = { name, clock, log: log.child({ sink: name }) };
  const knownHosts = server.hosts.length > 0 || isLoopback(server.listen) ? server.hosts : null;
  const published = type.givesBack?.(plan.config) ?? null;
  const source = published && { source: hosts.ofSource(sourceOf(plan, published), {}).host };
  const streamed = streamHost({ ...host, ...source, hosts: knownHosts }, former, journal);
  return { kind: "stream", plan, component: type.create(plan.config, streamed) };
}

/** What a stream's readers publish, as the source of its name. */
function sourceOf({ name, type, config }: SinkPlan, { dedupeMs }: Pick<SourcePlan, "dedupeMs">): SourcePlan {
  return { name, type, config, decode: "auto", dedupeMs, id: null, eventType: null, key: null };
}

function isPushed(type: SinkType): type is PushedSinkType {
  return type.kind === "pushed";
}

/** A stream's host: its part of the index, and the journal's end. */
export function streamHost(
  host: Omit<StreamHost, "index" | "committed" | "noted" | "note">,
  former: string | undefined,
  { streams, log, ledger, notes }: Journal,
): StreamHost {
  const { name } = host;
  // Until the stream's worker has taken over the index of its former name.
  const indexed = () => (former === undefined || streams.places().has(name) ? name : former);
  return {
    ...host,
    committed: () => log.bounds().newest,
    noted: () => notes.get(`stream ${name}`) ?? (former === undefined ? null : notes.get(`stream ${former}`)),
    note: (text) => notes.set(`stream ${name}`, text),
    index: {
      read: (after, wants, limit) => streams.read(indexed(), after, wants, limit),
      bounds: async () => {
        const { oldest, newest } = await streams.bounds(indexed());
        // What an index that was lost doesn't have yet it will have: readers wait for that, it isn't new to anybody.
        const subscription = ledger.subscription(name) ?? ledger.subscription(former ?? name);
        return { oldest, newest: Math.max(newest, subscription?.cursor() ?? 0) };
      },
      seqAt: (time) => streams.seqAt(indexed(), time),
    },
  };
}

/** The registry and the schema that let it through have come apart: a defect. */
function unknownType(kind: string, { name, type }: { name: string; type: string }): LeatError {
  return new LeatError("internal", "unknown_type", `${kind} ${name}: there is no type ${type}`);
}

/** What the sources and sinks serve on the public listener. */
export function endpointsOf({ sources, sinks }: Assembly): HttpEndpoint[] {
  const components: object[] = [...sources.values(), ...sinks.values()].map(({ component }) => component);
  return components.filter(hasEndpoint).map((component) => component.endpoint());
}

/** How long the index keeps a stream's frames, in ms. */
export function historyOf({ plan }: BuiltSink): number {
  const type = sinkTypes.find(
    (one): one is StreamSinkType => one.kind === "stream" && one.type === plan.type,
  );
  return type?.historyMs(plan.config) ?? 0;
}

// ------------------------------------------------------------------------------------------------------- differences

/** What has to be started and stopped to come from one whole to the other, and how people are told. */
export interface Difference {
  readonly startSources: readonly Source[];
  /** To be stopped before those are started: a broker would take the two for one, and turn one of them out. */
  readonly stopSourcesFirst: readonly Source[];
  readonly stopSources: readonly Source[];
  readonly startSinks: readonly BuiltSink["component"][];
  /** Once what is under way for them has ended. */
  readonly stopSinks: readonly BuiltSink["component"][];
  readonly stopStreams: readonly BuiltSink["component"][];
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export function difference(before: Assembly | null, after: Assembly): Difference {
  const sources = fresh(before?.sources, after.sources);
  const withBroker = new Set(
    [...(before?.sources.values() ?? [])].filter((one) => one.hasBroker).map((one) => one.component),
  );
  const sinks = fresh(before?.sinks, after.sinks);
  const streams = new Set(
    [...(before?.sinks.values() ?? [])].filter(({ kind }) => kind === "stream").map((one) => one.component),
  );
  const plans = (assembly: Assembly | null): Map<string, unknown> => {
    const { sources: ins, sinks: outs, routes } = assembly?.plan ?? EMPTY_PLAN;
    return new Map<string, unknown>([
      ...ins.map((one) => [`source ${one.name}`, one] as const),
      ...outs.map((one) => [`sink ${one.name}`, one] as const),
      ...routes.map((one) => [`route ${one.name}`, one] as const),
    ]);
  };
  const [was, is] = [plans(before), plans(after)];
  return {
    startSources: sources.started,
    stopSourcesFirst: sources.stopped.filter((component) => withBroker.has(component)),
    stopSources: sources.stopped.filter((component) => !withBroker.has(component)),
    startSinks: sinks.started,
    stopSinks: sinks.stopped.filter((component) => !streams.has(component)),
    stopStreams: sinks.stopped.filter((component) => streams.has(component)),
    added: [...is.keys()].filter((name) => !was.has(name)),
    changed: [...is]
      .filter(([name, plan]) => was.has(name) && !isDeepStrictEqual(was.get(name), plan))
      .map(([name]) => name),
    removed: [...was.keys()].filter((name) => !is.has(name)),
  };
}

type Startable = Source | BuiltSink["component"];

function fresh<B extends { readonly component: Startable }>(
  before: ReadonlyMap<string, B> | undefined,
  after: ReadonlyMap<string, B>,
): { started: B["component"][]; stopped: B["component"][] } {
  const components = (map: typeof before) => [...(map?.values() ?? [])].map(({ component }) => component);
  const [was, is] = [components(before), components(after)];
  return {
    started: is.filter((component) => !was.includes(component)),
    stopped: was.filter((component) => !is.includes(component)),
  };
}
