/** Sources and sinks: from what the file says to their part of the plan. */
import type { z } from "zod";
import type { SinkType, SourceType } from "../component.ts";
import { LEAT_SOURCE } from "../event.ts";
import type { SinkPlan, SinkPolicy, SourcePlan } from "../plan.ts";
import type { Filled } from "./fill.ts";
import { policyOf, type WrittenPolicy } from "./policy.ts";
import { type Connections, withType } from "./read-connections.ts";
import type { Read, Reader } from "./reader.ts";
import {
  type Components,
  componentSchema,
  connectionTypeOf,
  oneOfTypes,
  type sourceFields,
} from "./schema.ts";
import { isMap, type Path, shapeOf } from "./walk.ts";

/** A named thing of the file: `plan` is null where it is wrong, so that what names it can be checked all the same. */
export interface Named<Type, Plan> {
  readonly name: string;
  readonly path: Path;
  /** Null where `type:` is missing or unknown. */
  readonly type: Type | null;
  readonly plan: Plan | null;
  /** As written, with variables filled in. */
  readonly filled: Filled;
}

export type ReadSource = Named<SourceType, SourcePlan>;

export interface ReadSink extends Named<SinkType, SinkPlan> {
  /** A pushed sink's policy as written, for routes to override; null for a stream and where it is wrong. */
  readonly policy: WrittenPolicy | null;
}

type SourceOutput = { type: string } & z.output<z.ZodObject<typeof sourceFields>>;

export function readSources(reader: Reader, components: Components, connections: Connections): ReadSource[] {
  return entries(reader, "sources").map(({ name, path, value }) => {
    const type = typeOf(components.sources, value);
    const { data, filled } = parse<SourceOutput>(reader, components.sources, type, value, path, connections);
    const plan =
      type === null || data === null
        ? null
        : {
            name,
            type: type.type,
            config: ownFields(type, data),
            decode: data.decode,
            dedupeMs: data.dedupe,
            id: data.id ?? null,
            eventType: data.event_type ?? null,
            key: data.key ?? null,
          };
    return { name, path, type, plan, filled };
  });
}

export function readSinks(reader: Reader, components: Components, connections: Connections): ReadSink[] {
  return entries(reader, "sinks").map(({ name, path, value }) => {
    const type = typeOf(components.sinks, value);
    const { data, filled } = parse<Record<string, unknown>>(
      reader,
      components.sinks,
      type,
      value,
      path,
      connections,
    );
    if (type === null || data === null) {
      return { name, path, type, plan: null, policy: null, filled };
    }
    const config = ownFields(type, data);
    const written = type.kind === "pushed" ? (data as WrittenPolicy) : null;
    const policy = written && policyOf(written);
    if (policy) checkBacklog(reader, path, policy);
    const plan: SinkPlan = {
      name,
      type: type.type,
      kind: type.kind,
      config,
      policy,
      templates: templatesOf(type, data),
      givesBack: givesBack(type, config),
    };
    return { name, path, type, plan, policy: written, filled };
  });
}

function givesBack(type: SinkType, config: unknown): boolean {
  return type.kind === "pushed" ? type.givesBack(config) : (type.givesBack?.(config) ?? null) !== null;
}

/** A retry that outlives the backlog would expire before the policy gives it up. */
export function checkBacklog(reader: Reader, path: Path, policy: SinkPolicy): void {
  const { keyed, unkeyed } = policy.retry.maxAgeMs;
  if (policy.backlog.ageMs > Math.max(keyed, unkeyed)) return;
  reader.error(
    path,
    "backlog.age must exceed retry.max_age",
    "make backlog.age longer, or retry.max_age shorter",
    "key",
  );
}

/** The template fields that are given, with their defaults. */
export function templatesOf(type: SinkType, data: Record<string, unknown>): Record<string, string> {
  const given = type.templates.map((key): [string, unknown] => [key, data[key]]);
  return Object.fromEntries(given.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

function entries(reader: Reader, section: "sources" | "sinks") {
  const found = reader.merged.value[section];
  if (!isMap(found)) return [];
  return Object.entries(found).map(([name, value]) => {
    const path = [section, name];
    if (reader.checkName(path) && name === LEAT_SOURCE) {
      reader.error(path, "the name is taken by Leat's own source", "choose another name", "key");
    }
    return { name, path, value: withType(reader, value, path) };
  });
}

/** `type` null: it isn't known, and the schema of all of them says so. */
function parse<Output>(
  reader: Reader,
  types: readonly (SourceType | SinkType)[],
  type: SourceType | SinkType | null,
  value: unknown,
  path: Path,
  connections: Connections,
): Read<Output> {
  const schema = (type
    ? componentSchema(type)
    : oneOfTypes(types)) as z.ZodType<unknown> as z.ZodType<Output>;
  const fill = (written: unknown) => reader.fill(schema, written, path);
  const filled = connections.lay(type && connectionTypeOf(type), value, path, fill);
  return reader.parseFilled(schema, filled, path);
}

function typeOf<T extends { readonly type: string }>(types: readonly T[], value: unknown): T | null {
  return (isMap(value) && types.find(({ type }) => type === value.type)) || null;
}

function ownFields(type: SourceType | SinkType, data: object): Record<string, unknown> {
  const own = new Set(shapeOf(type.schema).map(([key]) => key));
  return Object.fromEntries(Object.entries(data).filter(([key]) => own.has(key)));
}
