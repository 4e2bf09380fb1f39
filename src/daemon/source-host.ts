/**
 * What a source is given: it names what arrived, holds it to the limits, and appends it.
 *
 * The way of an accepted webhook goes through here, so a source whose scheme names its events (or whose expressions are
 * plain paths) pays for no promise but the append's own.
 */
import type { Appended, Arrival, Intake, SourceHost } from "../component.ts";
import { LeatError } from "../errors.ts";
import { countHeaders } from "../event.ts";
import type { Journal } from "../journal/journal.ts";
import type { Limits, SourcePlan } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import type { Naming } from "./naming.ts";
import { newId } from "./new-id.ts";
import type { Refusals } from "./refusals.ts";
import type { StandingRecord } from "./standings.ts";

/** Told of what came in, for the metrics. */
export interface IntakeCounter {
  received(source: string, outcome: "accepted" | "duplicate"): void;
  refused(source: string, reason: string): void;
}

export interface SourceHostOptions {
  readonly plan: SourcePlan;
  readonly journal: Pick<Journal, "log" | "health" | "notes" | "mark">;
  readonly naming: Naming;
  readonly refusals: Refusals;
  readonly standing: StandingRecord;
  /** Of a type whose bodies may be as large as brokers' are. */
  readonly largeBodies: boolean;
  readonly counter: IntakeCounter;
  /** Asked at each event: a reload may change them. */
  limits(): Limits;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Names {
  readonly id: string;
  readonly type: string;
  readonly key: string | null;
}

/** A source's host, and what the daemon sees of the source through it. */
export interface HostedSource {
  readonly host: SourceHost;
  readonly standing: StandingRecord;
  /** When an event was last taken: wall clock, ms. */
  lastAt(): number | null;
}

export function createSourceHost(options: SourceHostOptions): HostedSource {
  const { plan, journal, naming, refusals, standing, largeBodies, counter, limits, clock, log } = options;
  let lastAt: number | null = null;
  /**
   * Of arrivals that are not appended yet: one that is tried again has the same id, or an append that was only slow and its
   * successor would be two events.
   */
  const known = new WeakMap<Arrival, Names>();

  function named(arrival: Arrival, id: string | null, type: string | null, key: string | null): Names {
    return {
      id: arrival.id ?? id ?? newId(),
      type: arrival.type ?? type ?? plan.type,
      key: arrival.key ?? key,
    };
  }

  /** The names at once, or a promise of them where an expression has to be evaluated; `found` is what `naming` gave. */
  function name(arrival: Arrival, found: ReturnType<Naming>): Names | Promise<Names> {
    if (found === null) return named(arrival, null, null, null);
    if (found instanceof Promise) return found.then(({ id, type, key }) => named(arrival, id, type, key));
    return named(arrival, found.id, found.type, found.key);
  }

  async function append(arrival: Arrival, names: Names): Promise<Appended> {
    const { id, type, key } = names;
    const broken = overLimit(arrival, id, type, key, limits());
    if (broken !== null) throw new LeatError("refused", broken.code, broken.message);
    const { subject, headers, body, hops } = arrival;
    const now = clock.wall();
    const event = {
      source: plan.name,
      id,
      type,
      subject,
      key,
      time: now,
      headers,
      body,
      hops,
      cause: null,
    };
    let appended: Appended;
    try {
      appended = await journal.log.append(event, plan.dedupeMs);
    } catch (error) {
      known.set(arrival, names);
      throw error;
    }
    lastAt = now;
    counter.received(plan.name, appended.duplicate ? "duplicate" : "accepted");
    if (appended.differs) {
      refusals.refuse({
        source: plan.name,
        reason: "duplicate_differs",
        address: arrival.address(),
        detail: `id ${id} came again with another body; the first one is seq ${appended.seq}`,
        body: body.subarray(0, 1024),
      });
    }
    return appended;
  }

  const host: SourceHost = {
    name: plan.name,
    clock,
    log,
    get maxEventBytes() {
      const { eventBytes, brokerEventBytes } = limits();
      return largeBodies ? brokerEventBytes : eventBytes;
    },
    identify(arrival) {
      const found = naming(arrival);
      // Nothing has to be found out; and to remember each that is on its way would keep the collector busy.
      if (found === null) return;
      const names = name(arrival, found);
      if (!(names instanceof Promise)) known.set(arrival, names);
      else return names.then((late) => void known.set(arrival, late));
    },
    append(arrival) {
      const names = known.get(arrival) ?? name(arrival, naming(arrival));
      return names instanceof Promise
        ? names.then((found) => append(arrival, found))
        : append(arrival, names);
    },
    refuse: (refusal) => refusals.refuse(refusal),
    keepRefused: (refusal) => refusals.keepRefused(refusal),
    stands: standing.stands,
    mark: journal.mark,
    noted: () => journal.notes.get(`source ${plan.name}`),
    note: (text) => journal.notes.set(`source ${plan.name}`, text),
    intake: (): Intake => journal.health().intake,
  };
  return { host, standing, lastAt: () => lastAt };
}

interface Broken {
  readonly code: string;
  readonly message: string;
}

function overLimit(
  arrival: Arrival,
  id: string,
  type: string,
  key: string | null,
  limits: Limits,
): Broken | null {
  if (longer(id, limits.idBytes)) return over("id_too_long", "the id is", limits.idBytes);
  if (longer(type, limits.idBytes)) return over("type_too_long", "the type is", limits.idBytes);
  if (key !== null && longer(key, limits.keyBytes))
    return over("key_too_long", "the key is", limits.keyBytes);
  if (arrival.headers.byteLength > limits.headerBytes) {
    return over("headers_too_large", "the headers are", limits.headerBytes);
  }
  if (countHeaders(arrival.headers) > limits.headers) {
    return { code: "too_many_headers", message: `there are more than ${limits.headers} headers` };
  }
  return null;
}

function over(code: string, what: string, bytes: number): Broken {
  return { code, message: `${what} over ${bytes} bytes` };
}

/** A UTF-16 unit is at most 3 bytes of UTF-8, so most are known to be short without encoding them. */
function longer(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && Buffer.byteLength(text) > bytes;
}
