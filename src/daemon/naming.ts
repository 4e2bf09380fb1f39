/**
 * What a source's `id:`, `event_type:` and `key:` expressions make of an arrival, where its scheme doesn't name it.
 *
 * An expression that yields nothing, or that this arrival breaks (a body that isn't JSON), names nothing: the event is
 * taken all the same, under a new id and without a key. Of an expression that broke, the log says so, without payload.
 * So does an id that is a number which isn't exact; a key may be one: events that share a key only wait for each other.
 */
import type { Arrival } from "../component.ts";
import type { NewEvent } from "../event.ts";
import type { SourcePlan } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import { compileExpression, type Expression } from "../routing/expression.ts";
import { eventView } from "../routing/view.ts";

export interface Named {
  readonly id: string | null;
  readonly type: string | null;
  readonly key: string | null;
}

/** Null where the source has no expressions; a promise only where one of them had to wait. */
export type Naming = (arrival: Arrival) => Named | null | Promise<Named>;

/** @throws LeatError of kind `configuration`. */
export function compileNaming(plan: SourcePlan, clock: Clock, log: Logger): Naming {
  const fields = [
    ["id", plan.id],
    ["type", plan.eventType],
    ["key", plan.key],
  ] as const;
  if (fields.every(([, source]) => source === null)) return () => null;
  const [id, type, key] = fields.map(([field, source]) =>
    source === null ? null : new NameExpression(field, compileExpression(source), clock, log),
  );

  return (arrival) => {
    const view = eventView(asEvent(arrival, plan.name, clock.wall()), plan.decode);
    const values = [
      arrival.id === null ? (id?.evaluate(view) ?? null) : null,
      arrival.type === null ? (type?.evaluate(view) ?? null) : null,
      arrival.key === null ? (key?.evaluate(view) ?? null) : null,
    ];
    return values.some((value) => value instanceof Promise)
      ? Promise.all(values).then(named)
      : named(values as (string | null)[]);
  };
}

function named([id = null, type = null, key = null]: readonly (string | null)[]): Named {
  return { id, type, key };
}

/** What an expression sees of an arrival: an event that has no seq yet, and no names but its scheme's. */
function asEvent(arrival: Arrival, source: string, time: number): NewEvent {
  const { id, type, key, subject, headers, body, hops } = arrival;
  return { source, id: id ?? "", type: type ?? "", key, subject, headers, body, hops, time, cause: null };
}

/** A sender whose every event breaks an expression is told of once a minute, not at each. */
const QUIET_MS = 60_000;

const ID_REMEDY = "take the id from a header or a text, or leave id out";

class NameExpression {
  readonly #field: string;
  readonly #expression: Expression;
  readonly #clock: Clock;
  readonly #log: Logger;
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor(field: string, expression: Expression, clock: Clock, log: Logger) {
    this.#field = field;
    this.#expression = expression;
    this.#clock = clock;
    this.#log = log;
  }

  evaluate(view: object): string | null | Promise<string | null> {
    try {
      const value = this.#expression.evaluate(view);
      if (!(value instanceof Promise)) return this.#name(value);
      return value.then(
        (late) => this.#name(late),
        (err: unknown) => this.#nothing(err),
      );
    } catch (err) {
      return this.#nothing(err);
    }
  }

  #name(value: unknown): string | null {
    if (typeof value === "string") return value === "" ? null : value;
    // Beyond 2^53 JSON's numbers run together in a double: two events would be one, and the later be lost.
    if (this.#field === "id" && typeof value === "number" && !Number.isSafeInteger(value)) {
      this.#tell({
        yields: "a number that isn't whole, or is too large to be told from its neighbours",
        remedy: ID_REMEDY,
      });
      return null;
    }
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    if (value !== undefined && value !== null)
      this.#tell({ yields: Array.isArray(value) ? "a list" : "a map" });
    return null;
  }

  #nothing(err: unknown): null {
    // The message alone: an error's causes and other fields may hold what the event holds.
    this.#tell({ reason: err instanceof Error ? err.message : "unknown" });
    return null;
  }

  #tell(why: object): void {
    const now = this.#clock.monotonic();
    if (now < this.#quietUntil) return;
    this.#quietUntil = now + QUIET_MS;
    const { source: expression } = this.#expression;
    const consequence =
      this.#field === "id"
        ? "it got a new id: its sender's retry would be taken as another event"
        : undefined;
    this.#log.warn(
      { ...why, field: this.#field, expression, consequence },
      "an event got no name from the expression",
    );
  }
}
