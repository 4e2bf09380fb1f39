/**
 * Prometheus metrics: what is counted as it happens, and what is read from the journal when it is asked for
 * (`scrape.ts`). Labels are only source, route, sink, outcome and reason: their values come from the configuration and
 * from the code, so nobody outside can make a million series.
 */
import { type Counter, Registry } from "prom-client";
import type { DaemonFace } from "../daemon/face.ts";
import { Durations } from "./durations.ts";
import { metricMakers } from "./metric-makers.ts";
import { createScrape } from "./scrape.ts";
import { Tally } from "./tally.ts";

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

export function createMetrics(): Metrics {
  const registry = new Registry();
  const makers = metricMakers(registry);
  const { counter, gauge } = makers;
  const received = counter(
    "received_total",
    "Events that came in, by source and what became of them.",
    "source",
    "outcome",
  );
  const refused = counter(
    "refused_total",
    "What came and was not taken, by source and reason.",
    "source",
    "reason",
  );
  const attempts = counter(
    "attempts_total",
    "Attempts at deliveries, by what came of them.",
    "route",
    "sink",
    "outcome",
  );
  const attemptSeconds = new Durations("leat_attempt_seconds", "How long one attempt took.", "sink");
  const deliverySeconds = new Durations(
    "leat_delivery_seconds",
    "From an event's acceptance to its delivery.",
    "route",
    "sink",
  );
  const filtered = counter(
    "filtered_total",
    "Events that a route filtered, by reason: `absent_path` may be a mistake in its `where`.",
    "route",
    "sink",
    "reason",
  );
  const undeliverable = counter(
    "undeliverable_total",
    "Events that no attempt could be made for: an expression, a channel, too many hops.",
    "route",
    "sink",
    "reason",
  );
  const reloadSuccess = gauge(
    "config_reload_success",
    "1 when the last reload (or the start) took the configuration over, else 0.",
  );
  const reloadTime = gauge(
    "config_reload_success_time_seconds",
    "When a configuration was last taken over, in seconds since 1970.",
  );
  const scrape = createScrape(makers);

  // Hashing labels costs more than counting, and every event comes by here several times: label sets are kept.
  const tallies: Tally[] = [];
  const tally = (counter: Counter.Internal) => {
    const made = new Tally(counter);
    tallies.push(made);
    return made;
  };
  const receivedBy = kept((source, outcome) => tally(received.labels(source, outcome)));
  const attemptsBy = kept((route, sink, outcome) => tally(attempts.labels(route, sink, outcome)));
  const attemptSecondsBy = kept((sink) => attemptSeconds.labels(sink));
  const deliverySecondsBy = kept((route, sink) => deliverySeconds.labels(route, sink));
  const filteredBy = kept((route, sink, reason) => tally(filtered.labels(route, sink, reason)));
  /** Two scrapes at once share one answer, or one would read what the other is just setting. */
  let running: Promise<string> | null = null;

  return {
    contentType: registry.contentType,
    received: (source, outcome) => receivedBy(source, outcome).add(),
    refused: (source, reason) => refused.inc({ source, reason }),
    delivery: {
      attempt(route, sink, outcome, seconds) {
        attemptsBy(route, sink, outcome).add();
        attemptSecondsBy(sink).observe(seconds);
      },
      delivered: (route, sink, seconds) => deliverySecondsBy(route, sink).observe(seconds),
      filtered: (route, sink, reason) => filteredBy(route, sink, reason).add(),
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
          for (const each of tallies) each.tell();
          return [await registry.metrics(), commits, attemptSeconds.text(), deliverySeconds.text()].join("");
        } finally {
          running = null;
        }
      })();
      return running;
    },
    close: () => scrape.close(),
  };
}

/** Makes what belongs to some words once, and finds it again: mostly it is the one before. A newline is in no name. */
function kept<T>(make: (...words: string[]) => T): (...words: string[]) => T {
  const found = new Map<string, T>();
  let before: { readonly words: readonly string[]; readonly one: T } | null = null;
  return (...words) => {
    if (before?.words.every((word, at) => word === words[at])) return before.one;
    const name = words.join("\n");
    const one = found.get(name) ?? make(...words);
    found.set(name, one);
    before = { words, one };
    return one;
  };
}
