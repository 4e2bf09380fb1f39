/** What the tests of delivery share: events, policies, targets, and a delivery on a ledger in memory. */
import type { Message, PushedSink, Report } from "../../src/component.ts";
import { Delivery } from "../../src/delivery/delivery.ts";
import { type DeliveryObserver, noObserver, type PushedTarget } from "../../src/delivery/target.ts";
import { type NewEvent, NO_HEADERS } from "../../src/event.ts";
import type { StreamIndex } from "../../src/journal/journal.ts";
import type { RetryPolicy, SinkPolicy } from "../../src/plan.ts";
import { type Clock, type Logger, systemChance, systemClock } from "../../src/ports.ts";
import type { Prepare } from "../../src/prepared.ts";
import type { MemoryLedger } from "./memory-ledger.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The defaults of the configuration. */
export const RETRY: RetryPolicy = {
  initialMs: 5000,
  factor: 4,
  maxWaitMs: 6 * HOUR,
  maxAgeMs: { keyed: 6 * HOUR, unkeyed: 3 * DAY },
  jitter: 0.2,
  maxAttempts: null,
  scheduleMs: null,
  deadOn: { keyed: [400, 404, 413, 422], unkeyed: [] },
};

/** Waits that a test can wait for. */
export const SOON: RetryPolicy = { ...RETRY, initialMs: 10, factor: 1, jitter: 0 };

export const POLICY: SinkPolicy = {
  retry: SOON,
  breaker: { failures: 10, probeMs: 5000, maxMs: MINUTE },
  backlog: { ageMs: 4 * DAY, size: { bytes: 1e9 } },
  timeoutMs: 5000,
  concurrency: 16,
  rate: null,
  order: "key",
  onDead: "skip",
};

export function newEvent(over: Partial<NewEvent> = {}): NewEvent {
  return {
    source: "in",
    id: "e1",
    type: "test",
    subject: null,
    key: null,
    time: Date.now(),
    headers: NO_HEADERS,
    body: Buffer.from("{}"),
    hops: 0,
    cause: null,
    ...over,
  };
}

/** Everything passes as it is. */
export const passing: Prepare = (event) => ({
  result: "message",
  body: event.body,
  contentType: "application/json",
  fields: {},
});

export const silent: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silent,
};

/** A sink that does what it is told. */
export class TestSink implements PushedSink {
  readonly messages: Message[] = [];
  #answer: (message: Message, signal: AbortSignal) => Report | Promise<Report>;

  constructor(answer: (message: Message, signal: AbortSignal) => Report | Promise<Report> = () => DELIVERED) {
    this.#answer = answer;
  }

  answer(answer: (message: Message, signal: AbortSignal) => Report | Promise<Report>): void {
    this.#answer = answer;
  }

  async start(): Promise<void> {}

  async deliver(message: Message, signal: AbortSignal): Promise<Report> {
    this.messages.push(message);
    return this.#answer(message, signal);
  }

  async stop(): Promise<void> {}

  bodies(): string[] {
    return this.messages.map(({ body }) => Buffer.from(body).toString());
  }
}

export const DELIVERED: Report = { result: "delivered", status: 200 };
export const REFUSED: Report = { result: "failed", error: "connection_refused", message: "refused" };

export function status(code: number, retryAfterMs?: number): Report {
  return {
    result: "failed",
    error: "status",
    message: `the receiver answered ${code}`,
    status: code,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** A target `route/sink`. */
export function target(
  subscription: string,
  sink: PushedSink,
  over: Partial<PushedTarget> = {},
): PushedTarget {
  const [route = "", sinkName = ""] = subscription.split("/");
  const policy = over.policy ?? POLICY;
  return { subscription, route, sinkName, sink, prepare: passing, policy, sinkPolicy: policy, ...over };
}

export const noIndex: StreamIndex = {
  write: async () => {},
  read: async () => ({ frames: [], through: 0 }),
  bounds: async () => ({ oldest: 0, newest: 0 }),
  places: () => new Map(),
  lack: async () => {},
  owe: async () => {},
  fill: async () => {},
  reach: async () => {},
  begin: async () => {},
  rename: async () => {},
  onLost: () => () => {},
  seqAt: async () => 0,
  retain: async () => 0,
};

export function delivery(
  ledger: MemoryLedger,
  over: { streams?: StreamIndex; observer?: DeliveryObserver; clock?: Clock; log?: Logger } = {},
  subscription: MemoryLedger["subscription"] = (name) => ledger.subscription(name),
): Delivery {
  return new Delivery({
    ledger: {
      subscription,
      sinkState: (sink) => ledger.sinkState(sink),
      setSinkState: (sink, state) => ledger.setSinkState(sink, state),
    },
    streams: noIndex,
    clock: systemClock,
    chance: systemChance,
    log: silent,
    observer: noObserver,
    ...over,
  });
}
