/**
 * Prometheus metrics: what is counted as it happens, and what is read from the journal when it is asked for
 * (`scrape.ts`). Labels are only source, route, sink, outcome and reason: their values come from the configuration and
 * from the code, so nobody outside can make a million series.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { DaemonFace } from "../daemon/face.ts";
import { createScrape } from "./scrape.ts";

/** What delivery tells as it happens; see `DeliveryObserver`. */
export interface DeliveryMetrics {
  attempt(route: string, sink: string, outcome: string, seconds: number): void;
  delivered(route: string, sink: string, seconds: number): void;
  filtered(route: string, sink: string, reason: string): void;
  undeliverable(route: string, sink: string, error: string): void;
}

export interface Metrics {
  /** One event of a source: taken, a duplicate, or refused and why. */
  received(source: string, outcome: "accepted" | "duplicate"): void;
  refused(source: string, reason: string): void;
  readonly delivery: DeliveryMetrics;
  reloaded(ok: boolean): void;
  /** All of them, in Prometheus' text format 0.0.4. */
  text(daemon: DaemonFace): Promise<string>;
  readonly contentType: string;
  close(): void;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const received = new Counter({
    name: "leat_received_total",
    help: "Events that came in, by source and what became of them.",
    labelNames: ["source", "outcome"],
    registers,
  });
  const refused = new Counter({
    name: "leat_refused_total",
    help: "What came and was not taken, by source and reason.",
    labelNames: ["source", "reason"],
    registers,
  });
  const attempts = new Counter({
    name: "leat_attempts_total",
    help: "Attempts at deliveries, by what came of them.",
    labelNames: ["route", "sink", "outcome"],
    registers,
  });
  const attemptSeconds = new Histogram({
    name: "leat_attempt_seconds",
    help: "How long one attempt took.",
    labelNames: ["sink"],
    buckets: SECONDS,
    registers,
  });
  const deliverySeconds = new Histogram({
    name: "leat_delivery_seconds",
    help: "From an event's acceptance to its delivery.",
    labelNames: ["route", "sink"],
    buckets: SECONDS,
    registers,
  });
  const filtered = new Counter({
    name: "leat_filtered_total",
    help: "Events that a route filtered, by reason: `absent_path` may be a mistake in its `where`.",
    labelNames: ["route", "sink", "reason"],
    registers,
  });
  const undeliverable = new Counter({
    name: "leat_undeliverable_total",
    help: "Events that no attempt could be made for: an expression, a channel, too many hops.",
    labelNames: ["route", "sink", "reason"],
    registers,
  });
  const reloadSuccess = new Gauge({
    name: "leat_config_reload_success",
    help: "1 when the last reload (or the start) took the configuration over, else 0.",
    registers,
  });
  const reloadTime = new Gauge({
    name: "leat_config_reload_success_time_seconds",
    help: "When a configuration was last taken over, in seconds since 1970.",
    registers,
  });
  const scrape = createScrape(registry);

  // Hashing labels costs more than counting, and every event comes by here several times: label sets are kept.
  const receivedBy = kept((source, outcome) => received.labels(source, outcome));
  const attemptsBy = kept((route, sink, outcome) => attempts.labels(route, sink, outcome));
  const attemptSecondsBy = kept((sink) => attemptSeconds.labels(sink));
  const deliverySecondsBy = kept((route, sink) => deliverySeconds.labels(route, sink));
  const filteredBy = kept((route, sink, reason) => filtered.labels(route, sink, reason));
  /** Two scrapes at once share one answer, or one would read what the other is just setting. */
  let running: Promise<string> | null = null;

  return {
    contentType: registry.contentType,
    received: (source, outcome) => receivedBy(source, outcome).inc(),
    refused: (source, reason) => refused.inc({ source, reason }),
    delivery: {
      attempt(route, sink, outcome, seconds) {
        attemptsBy(route, sink, outcome).inc();
        attemptSecondsBy(sink).observe(seconds);
      },
      delivered: (route, sink, seconds) => deliverySecondsBy(route, sink).observe(seconds),
      filtered: (route, sink, reason) => filteredBy(route, sink, reason).inc(),
      undeliverable: (route, sink, reason) => undeliverable.inc({ route, sink, reason }),
    },
    reloaded(ok) {
      reloadSuccess.set(ok ? 1 : 0);
      if (ok) reloadTime.setToCurrentTime();
    },
    text(daemon) {
      running ??= (async () => {
        try {
          const commits = scrape.read(daemon, await daemon.connections());
          return (await registry.metrics()) + commits;
        } finally {
          running = null;
        }
      })();
      return running;
    },
    close: () => scrape.close(),
  };
}

/** Makes what belongs to some words once, and finds it again. A newline is in no name. */
function kept<T>(make: (...words: string[]) => T): (...words: string[]) => T {
  const found = new Map<string, T>();
  return (...words) => {
    const name = words.join("\n");
    let one = found.get(name);
    if (one === undefined) {
      one = make(...words);
      found.set(name, one);
    }
    return one;
  };
}
