/**
 * What a scrape reads: the journal's accounts, the sinks' state, the process. All of it is read in one synchronous step,
 * so that the identity of J3 holds in every scrape:
 * `leat_accepted_total = sum(leat_settled_total) + sum(leat_unsettled)`, by route and sink.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, type Gauge } from "prom-client";
import type { DaemonFace } from "../daemon/face.ts";
import type { Counts, JournalMetrics } from "../journal/journal.ts";
import type { MetricMakers } from "./metric-makers.ts";
import { createStreamCounters } from "./stream-counters.ts";

export interface Scrape {
  /** Sets every value; returns what prom-client has no form for (the commits' histogram) as text. */
  read(daemon: DaemonFace, connected: number): string;
  close(): void;
}

const SETTLED = ["filtered", "delivered", "dead", "expired", "purged"] as const;
const UNSETTLED = [
  ["pending", "pending"],
  ["inFlight", "in_flight"],
  ["retrying", "retrying"],
] as const;

/** Said once: read anew each time, it would follow the wall clock's steps. */
const STARTED_S = performance.timeOrigin / 1000;

export function createScrape({ counter, gauge }: MetricMakers): Scrape {
  const loopDelay = monitorEventLoopDelay({ resolution: 10 });
  loopDelay.enable();

  const account = (prefix: string, what: string) => ({
    accepted: counter(
      `${prefix}accepted_total`,
      `${what} owed to a sink since it has its route.`,
      "route",
      "sink",
    ),
    settled: counter(
      `${prefix}settled_total`,
      `${what} that are settled, by outcome.`,
      "route",
      "sink",
      "outcome",
    ),
    unsettled: gauge(
      `${prefix}unsettled`,
      `${what} that are not settled yet, by state.`,
      "route",
      "sink",
      "outcome",
    ),
  });

  const info = gauge("build_info", "Always 1; its labels are the versions.", "version", "node");
  const first = account("", "Events");
  const replays = account("replays_", "Replays");
  const lag = gauge("lag_seconds", "Age of the oldest unsettled event.", "route", "sink");
  const backlog = gauge(
    "backlog_bytes",
    "Bytes of the journal from the oldest unsettled event on.",
    "route",
    "sink",
  );
  const source = {
    connected: gauge("source_connected", "1 while a source has its broker.", "source"),
    reconnects: counter("source_reconnects_total", "How often a source came back to its broker.", "source"),
    last: gauge(
      "source_last_message_time_seconds",
      "When an event of a source was last taken, in seconds since 1970.",
      "source",
    ),
    lag: gauge("source_lag", "Messages that wait for a source at its broker.", "source"),
  };
  const sinkConnected = gauge("sink_connected", "1 while a sink has its broker.", "sink");
  const readers = gauge("readers", "Connected readers of a stream.", "sink");
  const members = gauge("members", "Members of a stream's channels with presence.", "sink");
  const streams = createStreamCounters((name, help) => counter(name, help, "sink"));
  const paused = gauge("sink_paused", "1 while a sink waits for a person to resume it.", "sink");
  const breaker = gauge("breaker_open", "1 while a sink's breaker is open.", "sink");
  const ready = gauge("ready", "1 while /readyz says 200.");
  const intake = gauge("intake_open", "1 while sources may take events.");
  const connections = gauge("connections", "Open connections of the public listener.");
  const loopMean = gauge(
    "event_loop_delay_mean_seconds",
    "Mean delay of the event loop since the last scrape.",
  );
  const loopMax = gauge(
    "event_loop_delay_max_seconds",
    "Greatest delay of the event loop since the last scrape.",
  );
  const started = gauge("start_time_seconds", "When the process started, in seconds since 1970.");
  const memory = gauge("resident_memory_bytes", "Memory of the process.");
  const cpu = counter("cpu_seconds_total", "Processor time of the process, user and system.");
  const journal = {
    commits: counter("journal_commits_total", "Commits."),
    committedEvents: counter("journal_events_total", "Events committed."),
    committedBytes: counter("journal_bytes_total", "Bytes of events committed."),
    dedupeEvictedEarly: counter(
      "dedupe_evicted_early_total",
      "Ids forgotten before their time, for want of room.",
    ),
    damagedEvents: gauge(
      "damaged_events",
      "Events whose bytes on disk were found not to match their checksum, since the start.",
    ),
    uncommittedBytes: gauge("journal_uncommitted_bytes", "Bytes that wait for a commit."),
    fileBytes: gauge("journal_file_bytes", "Size of the journal's file."),
    walBytes: gauge("journal_wal_bytes", "Size of its write-ahead log."),
    freeBytes: gauge("disk_free_bytes", "Free room on the journal's disk."),
    events: gauge("journal_events", "Events kept."),
    dedupeIds: gauge("dedupe_ids", "Ids remembered, to drop duplicates."),
  } satisfies Partial<Record<keyof JournalMetrics, Counter | Gauge>>;

  function readAccounts(daemon: DaemonFace): void {
    for (const metric of [...Object.values(first), ...Object.values(replays), lag, backlog]) metric.reset();
    const now = daemon.clock.wall();
    for (const subscription of daemon.journal.ledger.subscriptions()) {
      const { sink } = subscription.definition;
      const late = subscription.lag();
      for (const { route, counts, replays: replayed } of subscription.counts()) {
        setAccount(first, route, sink, counts);
        setAccount(replays, route, sink, replayed);
        lag.inc({ route, sink }, 0);
        if (late === null) continue;
        lag.set({ route, sink }, Math.max(0, now - late.oldestAt) / 1000);
        backlog.set({ route, sink }, late.bytes);
      }
    }
  }

  function readSources(daemon: DaemonFace): void {
    for (const metric of Object.values(source)) metric.reset();
    for (const { name, standing, lag: waiting, lastAt } of daemon.sources()) {
      if (standing !== null) {
        source.connected.set({ source: name }, standing.state === "connected" ? 1 : 0);
        source.reconnects.inc({ source: name }, standing.reconnects);
      }
      if (waiting !== null) source.lag.set({ source: name }, waiting);
      if (lastAt !== null) source.last.set({ source: name }, lastAt / 1000);
    }
  }

  function readSinks(daemon: DaemonFace): void {
    for (const metric of [sinkConnected, readers, members, streams, paused, breaker]) metric.reset();
    for (const {
      name,
      kind,
      state,
      standing,
      readers: connected,
      members: present,
      tally,
    } of daemon.sinks()) {
      if (tally !== null) streams.set(name, tally);
      if (standing !== null) sinkConnected.set({ sink: name }, standing.state === "connected" ? 1 : 0);
      if (connected !== null) readers.set({ sink: name }, connected);
      if (present !== null) members.set({ sink: name }, present);
      if (kind === "stream") continue;
      paused.set({ sink: name }, state.paused === null ? 0 : 1);
      breaker.set({ sink: name }, state.breaker === null ? 0 : 1);
    }
  }

  function readProcess(daemon: DaemonFace): void {
    info.set({ version: daemon.version, node: process.versions.node }, 1);
    ready.set(daemon.readiness().ready ? 1 : 0);
    intake.set(daemon.journal.health().intake.open ? 1 : 0);
    loopMean.set(Number.isNaN(loopDelay.mean) ? 0 : loopDelay.mean / 1e9);
    loopMax.set(loopDelay.max / 1e9);
    loopDelay.reset();
    started.set(STARTED_S);
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    setCounter(cpu, (user + system) / 1e6);
  }

  return {
    read(daemon, connected) {
      connections.set(connected);
      readAccounts(daemon);
      readSources(daemon);
      readSinks(daemon);
      readProcess(daemon);
      const read = daemon.journal.metrics();
      for (const [name, metric] of Object.entries(journal)) {
        const value = read[name as keyof typeof journal];
        if (metric instanceof Counter) setCounter(metric, value);
        else metric.set(value);
      }
      return commitHistogram(read.commitSeconds);
    },
    close: () => {
      loopDelay.disable();
    },
  };
}

interface Account {
  readonly accepted: Counter;
  readonly settled: Counter;
  readonly unsettled: Gauge;
}

/** Adds, as two subscriptions may have one route and sink (`as:`). */
function setAccount(account: Account, route: string, sink: string, counts: Counts): void {
  account.accepted.inc({ route, sink }, counts.accepted);
  for (const outcome of SETTLED) account.settled.inc({ route, sink, outcome }, counts[outcome]);
  for (const [field, outcome] of UNSETTLED) account.unsettled.inc({ route, sink, outcome }, counts[field]);
}

function setCounter(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

function commitHistogram({ buckets, sum, count }: JournalMetrics["commitSeconds"]): string {
  const name = "leat_commit_seconds";
  const lines = [`# HELP ${name} How long a commit to disk took.`, `# TYPE ${name} histogram`];
  for (const [le, below] of buckets) {
    if (Number.isFinite(le)) lines.push(`${name}_bucket{le="${le}"} ${below}`);
  }
  lines.push(`${name}_bucket{le="+Inf"} ${count}`, `${name}_sum ${sum}`, `${name}_count ${count}`);
  return `${lines.join("\n")}\n`;
}
