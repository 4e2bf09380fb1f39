/** A route to one of its sinks: what becomes of an event on it, decided without I/O. */
import { LeatError } from "../errors.ts";
import { type Event, LEAT_SOURCE, REPLAY_TYPE } from "../event.ts";
import type { Decode, RoutePlan, TargetPlan } from "../plan.ts";
import type { FilterReason, Prepare, Prepared } from "../prepared.ts";
import { compileExpression, type Expression } from "./expression.ts";
import { type Awaitable, chain, gather, mend } from "./gather.ts";
import { compileMatch, type Matcher } from "./match.ts";
import { hasFiniteNumbers, type Json } from "./plain.ts";
import { compileTemplate, compileTransform, RenderError, type Template } from "./template.ts";
import { contentTypeOf, type EventView, eventView } from "./view.ts";

export interface CompiledTarget {
  readonly prepare: Prepare;
}

export interface TargetWatch {
  /** A path that `where` asks for was absent in each of the last 100 events it saw; again only once it was present. */
  onAbsentPath?(route: string, where: string): void;
}

/** A misspelt path filters everything: after so many events in a row it is reported. */
const ABSENT_IN_A_ROW = 100;

/**
 * @throws LeatError of kind `configuration`.
 */
export function compileRoute(
  route: RoutePlan,
  target: TargetPlan,
  decodeOf: (source: string) => Decode,
  watch: TargetWatch = {},
): CompiledTarget {
  return new RouteToTarget(route, target, decodeOf, watch);
}

const FILTERED = {
  match: { result: "filtered", reason: "match" },
  where: { result: "filtered", reason: "where" },
  absent_path: { result: "filtered", reason: "absent_path" },
} as const satisfies Partial<Record<FilterReason, Prepared>>;

class RouteToTarget implements CompiledTarget {
  readonly #name: string;
  readonly #matches: Matcher | null;
  readonly #where: Expression | null;
  readonly #transform: ((scope: object) => Awaitable<Json | undefined>) | null;
  readonly #transformSource: string;
  readonly #templates: readonly (readonly [field: string, template: Template])[];
  /** The fields where no template puts anything in; null where one does. */
  readonly #fixed: Fields | null;
  readonly #decodeOf: (source: string) => Decode;
  readonly #watch: TargetWatch;
  #absent = 0;

  constructor(
    route: RoutePlan,
    target: TargetPlan,
    decodeOf: (source: string) => Decode,
    watch: TargetWatch,
  ) {
    this.#name = route.name;
    this.#matches = route.match === null ? null : compileMatch(route.match);
    this.#where = route.where === null ? null : compileExpression(route.where);
    this.#transform = target.transform === null ? null : compileTransform(target.transform);
    this.#transformSource = target.transform?.kind === "jsonata" ? target.transform.expression : "transform";
    this.#templates = Object.entries(target.templates).map(
      ([field, text]) => [field, compileTemplate(text, field)] as const,
    );
    const constant = this.#templates.every(([, { dynamic }]) => !dynamic);
    this.#fixed = constant ? { ...target.templates } : null;
    this.#decodeOf = decodeOf;
    this.#watch = watch;
  }

  prepare(event: Event, cause: Event | null): Awaitable<Prepared> {
    // No look at `from`: whose an event is the ledger knows, by the routes of when it came. What it owes under a source's
    // former name is delivered, and so is what a person replays.
    if (event.type === REPLAY_TYPE && event.source === LEAT_SOURCE) return FILTERED.match;
    if (this.#matches === null && this.#where === null && this.#passes) return this.#unchanged(event);
    const view = this.#view(event, cause);
    if (this.#matches !== null && !this.#matches(view)) return FILTERED.match;
    return mend(() => this.#select(event, view), dead);
  }

  /** What it sends is the event as it is. */
  get #passes(): boolean {
    return this.#transform === null && this.#fixed !== null;
  }

  #unchanged(event: Event, fields: Fields = this.#fixed ?? {}): Prepared {
    return { result: "message", body: event.body, contentType: contentTypeOf(event), fields };
  }

  #view(event: Event, cause: Event | null): EventView {
    const decode = this.#decodeOf(event.source);
    if (cause === null) return eventView(event, decode);
    return eventView(event, decode, eventView(cause, this.#decodeOf(cause.source)));
  }

  #select(event: Event, view: EventView): Awaitable<Prepared> {
    const where = this.#where;
    if (where === null) return this.#make(event, view);
    const value = mend(
      () => where.evaluate(view),
      (error) => {
        throw RenderError.from(error, where.source, "where");
      },
    );
    return chain(value, (value) => this.#decide(where, value, event, view));
  }

  #decide(where: Expression, value: Json | undefined, event: Event, view: EventView): Awaitable<Prepared> {
    if (truthy(value)) {
      this.#absent = 0;
      return this.#make(event, view);
    }
    if (!where.misses(view)) {
      this.#absent = 0;
      return FILTERED.where;
    }
    this.#absent += 1;
    if (this.#absent === ABSENT_IN_A_ROW) this.#watch.onAbsentPath?.(this.#name, where.source);
    return FILTERED.absent_path;
  }

  #make(event: Event, view: EventView): Awaitable<Prepared> {
    if (this.#passes) return this.#unchanged(event);
    const makes: (() => Awaitable<Json | undefined>)[] = [
      () => this.#fields(view),
      () => this.#transform?.(view),
    ];
    return chain(gather(makes), ([fields, made]) => this.#message(event, fields as Fields, made));
  }

  #message(event: Event, fields: Fields, made: Json | undefined): Prepared {
    if (this.#transform === null) return this.#unchanged(event, fields);
    if (made === undefined) {
      throw new RenderError("nothing", this.#transformSource, "transform", "the transform yields nothing");
    }
    const body = Buffer.from(jsonText(made, this.#transformSource));
    return { result: "message", body, contentType: "application/json", fields };
  }

  #fields(view: EventView): Awaitable<Fields> {
    if (this.#fixed !== null) return this.#fixed;
    const makes = this.#templates.map(
      ([field, template]) =>
        () =>
          renderField(field, template, view),
    );
    return chain(gather(makes), (texts) =>
      Object.fromEntries(this.#templates.map(([field], index) => [field, texts[index] ?? ""])),
    );
  }
}

type Fields = Record<string, string>;

/** Fields that are part of an address: what is put in is percent-encoded, so that it stays where it is put. */
const ADDRESSES = new Set(["url", "path", "query"]);

function renderField(field: string, template: Template, view: EventView): Awaitable<string> {
  if (!ADDRESSES.has(field)) return template.renderScalar(view);
  return chain(template.renderScalar(view, percentEncode), (text) => {
    // A segment of dots can't be encoded: `%2e%2e` goes up as `..` does.
    const climbs = template.dynamic && field !== "query" && /(^|\/)(\.|%2e){1,2}(?=$|[/?#])/i.test(text);
    if (!climbs) return text;
    const message = "a `.` or `..` as a segment would lead to another path";
    throw new RenderError("dot_segment", template.source, field, message);
  });
}

function percentEncode(value: string): string {
  return encodeURIComponent(value.toWellFormed());
}

/** JSONata's `$boolean`: of a list, any of its items; nothing is false. */
function truthy(value: Json | undefined): boolean {
  if (Array.isArray(value)) return value.some(truthy);
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function jsonText(value: Json, source: string): string {
  try {
    if (hasFiniteNumbers(value)) return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = "what it yields is nested too deep, or too large";
    throw new RenderError("result", source, "transform", message, error);
  }
  throw new RenderError("result", source, "transform", "it yields a number that JSON doesn't have");
}

function dead(error: unknown): Prepared {
  if (!(error instanceof RenderError)) throw error;
  if (error.code === "stopped") {
    throw new LeatError("unavailable", "expressions_stopped", error.message, { cause: error });
  }
  const { code, expression, path, message } = error;
  return { result: "dead", error: code, expression, path, message };
}
