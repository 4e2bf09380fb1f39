/** How a pushed sink delivers: the fields that every one of them has, and what they come to. */
import { z } from "zod";
import type { RetryPolicy, SinkPolicy } from "../plan.ts";
import { duration, integer, number, object, oneOf, rate, sizeOrShare, status } from "./fields.ts";

/**
 * An event that has a key makes the ones behind it wait: it is given up sooner, and at once where a receiver says that
 * it will never take it. What is written for either holds for both.
 */
const KEYED_DEAD_ON = [400, 404, 413, 422];
const KEYED_MAX_AGE_MS = 6 * 3_600_000;
const UNKEYED_MAX_AGE_MS = 3 * 86_400_000;

const retryFields = {
  initial: duration().describe("The wait after the first failed attempt"),
  factor: number(1, 100).describe("Each wait is this many times the one before"),
  max_wait: duration().describe("No wait is longer, also where a receiver asks for one"),
  max_age: duration()
    .optional()
    .describe(
      "From the first attempt on; past it the delivery is dead. Left out, it is 3d, and 6h for an event that has a key",
    ),
  jitter: number(0, 1).describe("Every wait is spread by up to this share of itself, either way"),
  max_attempts: integer(1, 1_000_000).optional().describe("Dead after so many attempts; left out, no bound"),
  schedule: z
    .array(duration())
    .min(1)
    .optional()
    .describe(
      "The waits after the first, second, … attempt, in place of initial and factor; after the last it is dead",
    ),
  dead_on: z
    .array(status())
    .optional()
    .describe(
      "Statuses that are dead at once. Left out, none, and 400, 404, 413 and 422 for an event that has a key",
    ),
};

const retryOfSink = object({
  ...retryFields,
  initial: retryFields.initial.prefault("5s"),
  factor: retryFields.factor.default(4),
  max_wait: retryFields.max_wait.prefault("6h"),
  jitter: retryFields.jitter.default(0.2),
});

/** A route's `to` may override any part of it. */
export const retryOfTarget = object({
  ...retryFields,
  initial: retryFields.initial.optional(),
  factor: retryFields.factor.optional(),
  max_wait: retryFields.max_wait.optional(),
  jitter: retryFields.jitter.optional(),
});

export const policyFields = {
  timeout: duration().prefault("10s").describe("How long one attempt may take"),
  concurrency: integer(1, 10_000).default(16).describe("Attempts under way at once"),
  rate: rate().optional().describe("At most so many attempts, spread evenly; left out, no bound"),
  order: oneOf(["key", "none"])
    .default("key")
    .describe("key: events with one key are delivered one after another; none: in any order"),
  on_dead: oneOf(["skip", "hold"])
    .default("skip")
    .describe("When an event with a key dies: go on with that key, or hold it until a person acts"),
  retry: retryOfSink.prefault({}).describe("When to try again; a route may override it in its to"),
  breaker: object({
    failures: integer(1, 1_000_000)
      .default(10)
      .describe("Opens after so many network errors, time-outs, 429 or 5xx in a row"),
    probe: duration()
      .prefault("5s")
      .describe("When one event tries whether it works again; doubles up to max"),
    max: duration().prefault("1m").describe("The longest wait between two probes"),
  })
    .prefault({})
    .describe("Stops trying a receiver that fails again and again"),
  backlog: object({
    age: duration()
      .prefault("4d")
      .describe("Older undelivered events expire, visibly; must exceed retry.max_age"),
    size: sizeOrShare()
      .prefault("20%")
      .describe("The oldest expire beyond this size, or this share of retention.size"),
  })
    .prefault({})
    .describe("What this sink may keep from retention, so that a receiver that is gone can't fill the disk"),
};

export type WrittenPolicy = z.output<z.ZodObject<typeof policyFields>>;
export type WrittenRetry = z.output<typeof retryOfTarget>;

/** A sink's policy, with what a route's target says of `retry` over it. */
export function policyOf(sink: WrittenPolicy, target: WrittenRetry = {}): SinkPolicy {
  return {
    retry: retryOf({ ...sink.retry, ...written(target) }),
    breaker: { failures: sink.breaker.failures, probeMs: sink.breaker.probe, maxMs: sink.breaker.max },
    backlog: { ageMs: sink.backlog.age, size: sink.backlog.size },
    timeoutMs: sink.timeout,
    concurrency: sink.concurrency,
    rate: sink.rate ?? null,
    order: sink.order,
    onDead: sink.on_dead,
  };
}

function retryOf(retry: WrittenPolicy["retry"]): RetryPolicy {
  return {
    initialMs: retry.initial,
    factor: retry.factor,
    maxWaitMs: retry.max_wait,
    maxAgeMs: { keyed: retry.max_age ?? KEYED_MAX_AGE_MS, unkeyed: retry.max_age ?? UNKEYED_MAX_AGE_MS },
    jitter: retry.jitter,
    maxAttempts: retry.max_attempts ?? null,
    scheduleMs: retry.schedule ?? null,
    deadOn: { keyed: retry.dead_on ?? KEYED_DEAD_ON, unkeyed: retry.dead_on ?? [] },
  };
}

/** Without the keys that were left out, so that they override nothing. */
function written<T extends object>(map: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
