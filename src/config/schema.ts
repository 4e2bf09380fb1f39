/**
 * The schema of the whole file. Sources and sinks bring their own fields (`components.ts`); what every one of them has
 * beside those, what a route is, and the daemon's settings are here and in `policy.ts` and `settings.ts`.
 */
import { z } from "zod";
import type { ConnectionType, PushedSinkType, SinkType, SourceType } from "../component.ts";
import {
  duration,
  expression,
  flags,
  NAME,
  name,
  object,
  oneOf,
  oneOrList,
  size,
  template,
} from "./fields.ts";
import { policyFields, retryOfTarget } from "./policy.ts";
import { settingsFields } from "./settings.ts";
import { fieldOf, shapeOf } from "./walk.ts";

/** What the file may name as `type:`. */
export interface Components {
  readonly sources: readonly SourceType[];
  readonly sinks: readonly SinkType[];
}

type Shape = Record<string, z.ZodType>;

// -------------------------------------------------------------------------------------------------------- connections

/** The name of something that is looked up: whether it's there is checked where all names are known. */
const nameOf = (what: string, examples: readonly string[]) => {
  const schema = z.string().min(1);
  flags.add(schema, { expects: `the name of a ${what}`, examples });
  return schema;
};

/** The types of connection that the sources and sinks take. */
export function connectionTypes({ sources, sinks }: Components): ConnectionType[] {
  return [...new Set([...sources, ...sinks].flatMap((type) => connectionTypeOf(type) ?? []))];
}

export function connectionTypeOf(type: SourceType | SinkType): ConnectionType | null {
  return type.kind === "stream" ? null : (type.connection ?? null);
}

/** The names of the fields that a connection gives to whom names it. */
export function connectionFieldsOf(type: SourceType | SinkType): string[] {
  const connection = connectionTypeOf(type);
  return connection === null ? [] : shapeOf(connection.schema).map(([key]) => key);
}

/** A field of a source or sink whose type has a connection. */
export function connectionField(type: ConnectionType): z.ZodType {
  return nameOf("connection", [type.type])
    .optional()
    .describe(`A connection of type ${type.type}, whose fields it has; those that stand here too win`);
}

// ------------------------------------------------------------------------------------------------------------ sources

/** `off` → null. */
const dedupe = () => {
  const schema = z.union([z.literal("off").transform(() => null), duration()]);
  flags.add(schema, { expects: "a duration, or off", examples: ["3d", "off"] });
  return schema;
};

/** What every source has beside its own fields. */
export const sourceFields = {
  decode: oneOf(["auto", "json", "text", "bytes"])
    .default("auto")
    .describe(
      "How expressions see the body; auto goes by its content type. The stored bytes are never touched",
    ),
  dedupe: dedupe()
    .prefault("3d")
    .describe("How long an event's id is remembered, so that a repeat is dropped"),
  id: expression()
    .optional()
    .describe(
      "JSONata for the event's id, where the sender's scheme names none. A number names nothing unless it is whole and within ±(2^53 - 1): larger ones run together. Then the event gets a new id",
    ),
  event_type: expression()
    .optional()
    .describe("JSONata for the event's type, where the sender's scheme names none"),
  key: expression().optional().describe("JSONata for the event's key: events with one key keep their order"),
};

// -------------------------------------------------------------------------------------------------------------- sinks

/** The fields of a sink of this type beside its own: a pushed sink's policy, and templates that only routes give it. */
export function sinkFieldsOf(type: SinkType): Shape {
  const own = new Set(shapeOf(type.schema).map(([key]) => key));
  const extra = type.templates.filter((key) => !own.has(key)).map((key) => [key, template().optional()]);
  return { ...Object.fromEntries(extra), ...(type.kind === "pushed" ? policyOfType(type) : {}) };
}

function policyOfType({ concurrency }: PushedSinkType): Shape {
  if (concurrency === undefined) return policyFields;
  return { ...policyFields, concurrency: policyFields.concurrency.default(concurrency) };
}

type Typed = SourceType | SinkType | ConnectionType;

const componentSchemas = new WeakMap<Typed, z.ZodObject>();

/** The schema of one source, sink or connection: its own fields, its `type`, and what all of its kind have. */
export function componentSchema(type: Typed): z.ZodObject {
  const made = componentSchemas.get(type) ?? makeComponentSchema(type);
  componentSchemas.set(type, made);
  return made;
}

function makeComponentSchema(type: Typed): z.ZodObject {
  const own: unknown = type.schema;
  if (!(own instanceof z.ZodObject))
    throw new TypeError(`the schema of ${type.type} is not an object({ … })`);
  const common = commonFieldsOf(type);
  const taken = Object.keys(common).find((key) => Object.hasOwn(own.shape, key));
  if (taken) throw new TypeError(`${type.type} has a field ${taken}, which every ${type.kind} component has`);
  return own.safeExtend({ type: z.literal(type.type).describe(type.description), ...common });
}

function commonFieldsOf(type: Typed): Shape {
  if (type.kind === "connection") return {};
  const connection = connectionTypeOf(type);
  const named = connection === null ? {} : { connection: connectionField(connection) };
  return { ...named, ...(type.kind === "source" ? sourceFields : sinkFieldsOf(type)) };
}

/** As it is written: what a connection may give need not stand there. */
function writtenSchema(type: Typed): z.ZodObject {
  const whole = componentSchema(type);
  const given = type.kind === "connection" ? [] : connectionFieldsOf(type);
  const loose = given.map((key): [string, z.ZodType] => [key, (whole.shape[key] as z.ZodType).optional()]);
  return z.strictObject({ ...whole.shape, ...Object.fromEntries(loose) });
}

/** One source, sink or connection of any type. */
export function oneOfTypes(types: readonly Typed[], schemaOf = componentSchema): z.ZodType {
  const options = types.map((type) => schemaOf(type));
  return z.discriminatedUnion("type", options as unknown as [z.ZodObject<{ type: z.ZodLiteral<string> }>]);
}

// ------------------------------------------------------------------------------------------------------------- routes

/** JSONata in a string, or a map whose strings are templates. */
const transform = () => {
  const schema = z.union([z.string().min(1), z.record(z.string(), z.unknown())]);
  flags.add(schema, { expects: "JSONata in a string, or a map of templates", expression: true });
  return schema;
};

const match = () => {
  const schema = z.record(z.string(), z.unknown());
  flags.add(schema, {
    expects: "a map from a path in the event to what must be there",
    examples: ["{ type: payment_intent.succeeded }"],
    expression: true,
  });
  return schema;
};

/** `now`, `beginning`, or a time → milliseconds since 1970. */
const start = () => {
  const schema = z.union([
    z.enum(["now", "beginning"]),
    z.iso.datetime({ offset: true }).transform((written) => Date.parse(written)),
  ]);
  flags.add(schema, {
    expects: "now, beginning or a time",
    examples: ["now", "beginning", "2026-01-31T12:00:00Z"],
  });
  return schema;
};

const was = () => {
  const schema = z.string().regex(/^[a-z0-9][a-z0-9_-]*(\/[a-z0-9][a-z0-9_-]*)?$/);
  flags.add(schema, { expects: "the name of a subscription", examples: ["old-route/billing"] });
  return schema;
};

/** What every target has; `templates` and a pushed sink's `retry` come beside it. */
const targetFields = {
  sink: nameOf("sink", ["billing"]).describe("The sink"),
  as: name()
    .optional()
    .describe("The last part of the subscription's name; needed where a route names one sink twice"),
  was: was().optional().describe("The former name of the subscription, whose place it takes over"),
  start: start().default("now").describe("Where a new subscription begins: now, beginning, or a time"),
  transform: transform().optional().describe("In place of the route's"),
};

const retryField = { retry: retryOfTarget.optional().describe("Overrides parts of the sink's retry") };

/** The template fields that a route's `to` may give a sink of this type. */
function templateFieldsOf(type: SinkType): Shape {
  const own = new Map(shapeOf(type.schema));
  const fields = type.templates.map((key): [string, z.ZodType] => {
    const field = own.get(key);
    const bare = field ? (fieldOf(field).schema as z.ZodType) : template();
    return [key, bare.optional().describe((field && fieldOf(field).description) ?? "In place of the sink's")];
  });
  return Object.fromEntries(fields);
}

const targetSchemas = new WeakMap<SinkType, ReturnType<typeof buildTargetSchema>>();

/** A target as a map, for a sink of this type: made once, for a schema compiles itself when it is first used. */
export function targetSchema(type: SinkType) {
  const made = targetSchemas.get(type) ?? buildTargetSchema(type);
  targetSchemas.set(type, made);
  return made;
}

function buildTargetSchema(type: SinkType) {
  return object({
    ...targetFields,
    ...(type.kind === "pushed" ? retryField : {}),
    ...templateFieldsOf(type),
  });
}

/** A target as a map, for a sink of any type: for the JSON Schema and the reference. */
export function anyTargetSchema(sinks: readonly SinkType[]) {
  return object({ ...targetFields, ...retryField, ...Object.assign({}, ...sinks.map(templateFieldsOf)) });
}

function routeFields(to: z.ZodType) {
  return {
    from: oneOrList(nameOf("source", ["stripe", "[stripe, github]"])).describe(
      "One or more sources, sinks that give something back, or leat",
    ),
    match: match()
      .optional()
      .describe("Which events: a path in each key; a literal, glob, list or operators in each value"),
    where: expression().optional().describe("Which events: JSONata that yields true"),
    transform: transform()
      .optional()
      .describe("What to send: JSONata, or a map of templates; left out, the event's bytes"),
    to,
  };
}

const anyTo = () => {
  const schema = z.unknown();
  flags.add(schema, { expects: "a sink's name, a map, or a list of them" });
  return schema.describe("One or more sinks");
};

/** A route whose `to` is looked at apart, since its fields depend on the sinks it names. */
export const routeSchema = object(routeFields(anyTo()));

/** A route with its targets, which may have what any of the sinks has. */
export function wholeRouteSchema(sinks: readonly SinkType[]) {
  const target = anyTargetSchema(sinks);
  const to = oneOrList(z.union([nameOf("sink", ["billing"]), target])).describe(
    "One or more sinks, by name or as a map",
  );
  return object(routeFields(to));
}

// ---------------------------------------------------------------------------------------------------------- the whole

export const retentionSchema = object({
  age: duration().prefault("7d").describe("Settled events older than this are removed"),
  size: size().prefault("10GiB").describe("The oldest settled events are removed beyond this"),
  dead: object({
    age: duration().prefault("30d").describe("Dead letters older than this are removed"),
    size: size().prefault("2GiB").describe("The oldest dead letters are removed beyond this"),
  })
    .prefault({})
    .describe("Dead letters have bounds of their own"),
})
  .prefault({})
  .describe("How long events are kept once every subscription has settled them");

const named = (schema: z.ZodType) => z.record(z.string().regex(NAME), schema).default({});

function connectionsField(types: readonly ConnectionType[]): Shape {
  if (types.length === 0) return {};
  return {
    connections: named(oneOfTypes(types)).describe("Brokers that several sources and sinks share, by name"),
  };
}

export function fileSchema(components: Components) {
  return object({
    ...settingsFields,
    retention: retentionSchema,
    ...connectionsField(connectionTypes(components)),
    sources: named(oneOfTypes(components.sources, writtenSchema)).describe("Where events come from, by name"),
    sinks: named(oneOfTypes(components.sinks, writtenSchema)).describe("Where events go, by name"),
    routes: named(wholeRouteSchema(components.sinks)).describe("Which events go where, by name"),
  });
}
