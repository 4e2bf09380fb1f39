/** Routes: from what the file says to their part of the plan. */
import type { SinkType } from "../component.ts";
import { LEAT_SOURCE } from "../event.ts";
import type { RoutePlan, TargetPlan, Transform } from "../plan.ts";
import { checkChannel } from "./channels.ts";
import type { Filled } from "./fill.ts";
import { policyOf } from "./policy.ts";
import { dotted, suggest } from "./problem.ts";
import { checkBacklog, type ReadSink, type ReadSource, templatesOf } from "./read-components.ts";
import type { Reader } from "./reader.ts";
import { routeSchema, targetSchema, wholeRouteSchema } from "./schema.ts";
import { childrenOf, isMap, orList, type Path, shapeOf } from "./walk.ts";

export interface Ends {
  readonly sources: readonly ReadSource[];
  readonly sinks: readonly ReadSink[];
}

export interface ReadRoute {
  readonly name: string;
  readonly path: Path;
  /** As written, whether they exist or not. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly plan: RoutePlan | null;
}

export function readRoutes(reader: Reader, ends: Ends, sinkTypes: readonly SinkType[]): ReadRoute[] {
  const found = reader.merged.value.routes;
  if (!isMap(found)) return [];
  const schema = wholeRouteSchema(sinkTypes);
  return Object.entries(found).map(([name, value]) => {
    const path = ["routes", name];
    reader.checkName(path);
    return new RouteReader(reader, ends, name, reader.fill(schema, value, path)).read();
  });
}

class RouteReader {
  readonly #reader: Reader;
  readonly #ends: Ends;
  readonly #name: string;
  readonly #filled: Filled;
  readonly #value: unknown;
  readonly #path: Path;

  constructor(reader: Reader, ends: Ends, name: string, filled: Filled) {
    this.#reader = reader;
    this.#ends = ends;
    this.#name = name;
    this.#filled = filled;
    this.#value = filled.value;
    this.#path = ["routes", name];
  }

  read(): ReadRoute {
    const written = isMap(this.#value) ? this.#value : {};
    // Its fields depend on the sinks: `to` is read on its own, below.
    const rest = isMap(this.#value) ? { ...this.#value, from: this.#from(), to: null } : this.#value;
    const { data } = this.#reader.parseFilled(routeSchema, { ...this.#filled, value: rest }, this.#path);
    const from = names(written.from);
    this.#checkFrom(from);
    if (isMap(written.match)) this.#reader.checkMatch([...this.#path, "match"], written.match);
    const transform = this.#transform(written.transform, [...this.#path, "transform"]);
    const { targets, sinks } = this.#targets(written.to, transform);
    const plan = data && {
      name: this.#name,
      from: [...new Set(data.from)],
      match: data.match ?? null,
      where: data.where ?? null,
      to: targets,
    };
    return { name: this.#name, path: this.#path, from, to: sinks, plan };
  }

  /** Missing, it is reported here, where the sources are known. */
  #from(): unknown {
    const from = isMap(this.#value) ? this.#value.from : undefined;
    if (from !== undefined) return from;
    const known = this.#ends.sources.map((source) => source.name);
    const remedy =
      known.length > 0
        ? `name a source: ${orList(known)}`
        : "define a source under sources: and name it here";
    this.#reader.error(this.#path, "from is missing", remedy, "key");
    return LEAT_SOURCE;
  }

  #checkFrom(from: readonly string[]): void {
    const { sources, sinks } = this.#ends;
    for (const name of from) {
      if (name === LEAT_SOURCE || sources.some((source) => source.name === name)) continue;
      const path = this.#pathOf("from", name);
      if (this.#filled.unknown.has(dotted(path))) continue;
      const sink = sinks.find((one) => one.name === name);
      if (!sink) {
        const known = [...sources, ...sinks.filter((one) => one.plan?.givesBack)].map((one) => one.name);
        this.#reader.error(path, `there is no source "${name}"`, suggest(name, [...known, LEAT_SOURCE]));
      } else if (sink.plan && !sink.plan.givesBack) {
        const replies = sink.type && shapeOf(sink.type.schema).some(([key]) => key === "reply");
        const remedy = replies ? `write reply: true on ${name}, or name a source` : "name a source";
        this.#reader.error(path, `the sink "${name}" gives nothing back`, remedy);
      }
    }
  }

  /** The place of a name in a field that takes one or a list. */
  #pathOf(field: string, name: string): Path {
    const value = isMap(this.#value) ? this.#value[field] : undefined;
    const at = Array.isArray(value) ? value.indexOf(name) : -1;
    return at < 0 ? [...this.#path, field] : [...this.#path, field, at];
  }

  #transform(written: unknown, path: Path): Transform | null {
    if (typeof written === "string") return { kind: "jsonata", expression: written };
    if (!isMap(written)) return null;
    this.#checkTemplates(written, path);
    return { kind: "map", map: written };
  }

  #checkTemplates(value: unknown, path: Path): void {
    if (typeof value === "string") this.#reader.checkTemplate(path, value);
    for (const [key, child] of childrenOf(value)) this.#checkTemplates(child, [...path, key]);
  }

  #targets(to: unknown, transform: Transform | null): { targets: TargetPlan[]; sinks: string[] } {
    const path = [...this.#path, "to"];
    if (to === undefined) {
      if (!isMap(this.#value)) return { targets: [], sinks: [] };
      const known = this.#ends.sinks.map((sink) => sink.name);
      const remedy =
        known.length > 0 ? `name a sink: ${orList(known)}` : "define a sink under sinks: and name it here";
      this.#reader.error(this.#path, "to is missing", remedy, "key");
      return { targets: [], sinks: [] };
    }
    if (Array.isArray(to) && to.length === 0) this.#reader.error(path, "is empty", "name at least one sink");
    const list = Array.isArray(to)
      ? to.map((one, at): [unknown, Path] => [one, [...path, at]])
      : [[to, path] as const];
    const seen = new Map<string, string>();
    const targets = list.map(([one, at]) => this.#target(one, at, transform, seen));
    return {
      targets: targets.filter((one) => one !== null),
      sinks: list.flatMap(([one]) => sinkOf(one) ?? []),
    };
  }

  #target(
    to: unknown,
    path: Path,
    transform: Transform | null,
    seen: Map<string, string>,
  ): TargetPlan | null {
    const name = sinkOf(to);
    if (name === null) {
      const what = isMap(to) ? "has no sink" : "is neither a sink's name nor a map";
      this.#reader.error(path, what, "write a sink's name, or { sink: name, … }");
      return null;
    }
    const sink = this.#ends.sinks.find((one) => one.name === name);
    const at = isMap(to) ? [...path, "sink"] : path;
    if (!sink && !this.#filled.unknown.has(dotted(at))) this.#unknownSink(name, at);
    if (!sink?.type) return null;
    const as = isMap(to) && typeof to.as === "string" ? to.as : undefined;
    const subscription = this.#subscription(sink.type, name, as, path, seen);
    const schema = targetSchema(sink.type);
    const written = this.#withoutStrangers(isMap(to) ? to : { sink: name }, sink.type, path);
    const { data } = this.#reader.parseFilled(schema, { ...this.#filled, value: written }, path);
    if (!data || !sink.plan) return null;
    const { retry } = data as { retry?: Parameters<typeof policyOf>[1] };
    const policy = sink.policy && policyOf(sink.policy, retry);
    if (policy && retry) checkBacklog(this.#reader, path, policy);
    const templates = { ...sink.plan.templates, ...templatesOf(sink.type, data) };
    if (sink.type.templates.includes("channel")) {
      const { channel } = templates;
      if (channel === undefined) {
        this.#reader.error(path, "has no channel", `write channel: … here, or on the sink ${name}`);
      } else checkChannel(this.#reader, sink, channel, written, path, this.#filled.unknown);
    }
    return {
      sink: name,
      subscription,
      was: data.was ?? null,
      start: data.start,
      transform: this.#transform(data.transform, [...path, "transform"]) ?? transform,
      templates,
      policy,
    };
  }

  #unknownSink(name: string, path: Path): void {
    const known = this.#ends.sinks.map((sink) => sink.name);
    const isSource = this.#ends.sources.some((source) => source.name === name);
    const what = isSource ? `"${name}" is a source, not a sink` : `there is no sink "${name}"`;
    this.#reader.error(path, what, suggest(name, known) ?? "define it under sinks:");
  }

  /** Reports what another type of sink has and this one hasn't, and leaves it out. */
  #withoutStrangers(to: Record<string, unknown>, type: SinkType, path: Path): Record<string, unknown> {
    const own = new Set(["sink", "as", "was", "start", "transform", ...type.templates]);
    if (type.kind === "pushed") own.add("retry");
    const kept = { ...to };
    for (const key of ["channel", "path", "query", "topic", "key", "retry"]) {
      if (!(key in kept) || own.has(key)) continue;
      const what = `the sink "${String(to.sink)}" (${type.type}) has no ${key}`;
      const remedy = key === "retry" ? "readers of a stream fetch what they missed" : `leave ${key} out`;
      this.#reader.error([...path, key], what, remedy, "key");
      delete kept[key];
    }
    return kept;
  }

  /** A stream has one subscription for all routes; a pushed sink one for each time that a route names it. */
  #subscription(
    type: SinkType,
    sink: string,
    as: string | undefined,
    path: Path,
    seen: Map<string, string>,
  ): string {
    if (type.kind === "stream") return sink;
    const subscription = `${this.#name}/${as ?? sink}`;
    const other = seen.get(subscription);
    if (other === sink && as === undefined) {
      this.#reader.error(
        path,
        `the sink "${sink}" stands in this route twice`,
        "give one of the two a name of its own by as:",
      );
    } else if (other !== undefined) {
      this.#reader.error(path, `the name ${subscription} is taken in this route`, "choose another as:");
    }
    seen.set(subscription, sink);
    return subscription;
  }
}

function names(written: unknown): string[] {
  const list = Array.isArray(written) ? written : [written];
  return list.filter((name) => typeof name === "string");
}

function sinkOf(to: unknown): string | null {
  const name = isMap(to) ? to.sink : to;
  return typeof name === "string" ? name : null;
}
