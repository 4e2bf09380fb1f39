/** What a daemon is made of besides its sources and sinks: each made here, started and stopped by `daemon.ts`. */
import { createMetrics, type Metrics } from "../admin/metrics.ts";
import { type Console, createConsole } from "../console/console.ts";
import { Delivery } from "../delivery/delivery.ts";
import { createListener, type Listener } from "../http/listener.ts";
import type { Journal, JournalTuning } from "../journal/journal.ts";
import { openSqliteJournal } from "../journal/sqlite/open.ts";
import type { Limits, Plan, Settings } from "../plan.ts";
import { type Clock, type Logger, systemChance } from "../ports.ts";
import type { SourceStatus } from "./face.ts";
import { createHosts, type Hosts } from "./hosts.ts";
import { createOwnEvents } from "./own-events.ts";
import { type SourceNews, tellOfSources } from "./source-news.ts";

export interface Parts {
  readonly metrics: Metrics;
  readonly hosts: Hosts;
  readonly sourceNews: SourceNews;
  readonly delivery: Delivery;
  /** Webhooks in, streams out. */
  readonly listener: Listener;
  readonly admin: Listener;
  readonly console: Console;
}

export function createParts(
  journal: Journal,
  settings: Settings,
  clock: Clock,
  log: Logger,
  limits: () => Limits,
  sources: () => readonly SourceStatus[],
): Parts {
  const metrics = createMetrics();
  const ownEvents = createOwnEvents(journal.log, clock, log);
  const sourceNews = tellOfSources(sources, ownEvents.raise, clock);
  const delivery = new Delivery({
    ledger: journal.ledger,
    streams: journal.streams,
    clock,
    chance: systemChance,
    log: log.child({ part: "delivery" }),
    observer: metrics.delivery,
  });
  const { listen, admin, http } = settings.server;
  return {
    metrics,
    hosts: createHosts({
      journal,
      clock,
      log,
      counter: metrics,
      ownEvents,
      limits,
      onSourceStanding: sourceNews.look,
      onSinkConnected: (sink) => delivery.reconnected(sink),
    }),
    sourceNews,
    delivery,
    listener: createListener({ address: listen, log, limits: http }),
    // However many connections the public listener has, a probe gets one.
    admin: createListener({ address: admin, log, limits: { ...http, maxConnections: null } }),
    console: createConsole({ log: journal.log, clock, logger: log.child({ part: "page" }) }),
  };
}

/** Rejects with a LeatError that says why it can't be opened. */
export function openJournal(plan: Plan, settings: Settings, clock: Clock, log: Logger): Promise<Journal> {
  const { path, watermark } = settings.journal;
  return openSqliteJournal({
    path,
    watermark,
    tuning: tuningOf(plan, settings),
    clock,
    chance: systemChance,
    log: log.child({ part: "journal" }),
  });
}

/** What of a configuration the journal goes by while it runs. */
export function tuningOf({ retention }: Plan, { limits }: Settings): JournalTuning {
  const { uncommittedBytes, commitWaitMs, dedupeIds } = limits;
  return { retention, limits: { uncommittedBytes, commitWaitMs, dedupeIds } };
}
