/**
 * The daemon: what is put together, in which order, and taken apart in reverse.
 *
 *   start   journal → sinks → subscriptions → delivery → sources → the public listener
 *   reload  the new whole is made beside the old; one swap; what the old one had alone is stopped
 *   stop    readiness → (delay) → sources and listener → delivery → streams → journal
 *
 * The admin listener comes before all but the journal and goes last, so that probes get an answer throughout.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { adminEndpoints } from "./admin/endpoints.ts";
import { createMetrics, type Metrics } from "./admin/metrics.ts";
import { formatProblem, type LoadResult } from "./config/load.ts";
import { type Console, createConsole } from "./console/console.ts";
import { type Assembly, assemble, type Difference, difference, endpointsOf } from "./daemon/assembly.ts";
import type { DaemonFace, Phase, Readiness, ReloadResult, SinkStatus } from "./daemon/face.ts";
import { createHosts, type Hosts } from "./daemon/hosts.ts";
import { orphans, readinessOf } from "./daemon/readiness.ts";
import { restartOnly } from "./daemon/settings-change.ts";
import { sinkStatuses } from "./daemon/sink-status.ts";
import { retainStreams } from "./daemon/stream-retention.ts";
import { definitionsOf } from "./daemon/subscriptions.ts";
import { compileTargets } from "./daemon/targets.ts";
import { Delivery } from "./delivery/delivery.ts";
import { LeatError } from "./errors.ts";
import { createListener, type Listener } from "./http/listener.ts";
import type { Journal, JournalTuning } from "./journal/journal.ts";
import { openSqliteJournal } from "./journal/sqlite/open.ts";
import type { Log } from "./log.ts";
import type { Plan, Settings } from "./plan.ts";
import { systemChance, systemClock } from "./ports.ts";
import { stopIsolation } from "./routing/isolation.ts";
import { version } from "./version.ts";

type Configuration = Extract<LoadResult, { ok: true }>;

export interface DaemonOptions {
  readonly configuration: Configuration;
  /** Reads the configuration anew, for a reload. */
  readonly read: () => LoadResult;
  readonly log: Log;
}

/** Resolves once everything runs. Rejects with a LeatError that says why it can't, having closed what it had opened. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { settings, plan } = options.configuration;
  const journal = await openSqliteJournal({
    path: settings.journal.path,
    watermark: settings.journal.watermark,
    tuning: tuningOf(plan, settings),
    clock: systemClock,
    chance: systemChance,
    log: options.log.child({ part: "journal" }),
  });
  const daemon = new Daemon(options, journal);
  try {
    await daemon.start(plan);
    return daemon;
  } catch (error) {
    await daemon.close();
    throw error;
  }
}

export class Daemon implements DaemonFace {
  readonly version = version;
  readonly clock = systemClock;
  readonly journal: Journal;
  readonly log: Log;
  readonly #read: () => LoadResult;
  readonly #metrics: Metrics;
  readonly #hosts: Hosts;
  readonly #delivery: Delivery;
  readonly #public: Listener;
  readonly #admin: Listener;
  readonly #console: Console;
  readonly #stopTrimming: () => void;
  #settings: Settings;
  #assembly: Assembly | null = null;
  #phase: Phase = "starting";
  #lastReload: Promise<unknown> = Promise.resolve();

  constructor({ configuration: { settings }, read, log }: DaemonOptions, journal: Journal) {
    const { clock } = this;
    this.journal = journal;
    this.log = log;
    this.#read = read;
    this.#settings = settings;
    this.#metrics = createMetrics();
    this.#hosts = createHosts({
      journal,
      clock,
      log,
      counter: this.#metrics,
      limits: () => this.#settings.limits,
    });
    this.#delivery = new Delivery({
      ledger: journal.ledger,
      streams: journal.streams,
      clock,
      chance: systemChance,
      log: log.child({ part: "delivery" }),
      observer: this.#metrics.delivery,
    });
    this.#public = createListener({ address: settings.server.listen, log });
    this.#admin = createListener({ address: settings.server.admin, log });
    this.#console = createConsole({ log: journal.log, clock, logger: log.child({ part: "page" }) });
    this.#stopTrimming = retainStreams(() => this.#assembly, journal.streams, clock, log);
  }

  // ------------------------------------------------------------------------------------------------ start and reload

  async start(plan: Plan): Promise<void> {
    this.#admin.setEndpoints(adminEndpoints(this, this.#metrics, this.#console));
    await this.#admin.start();
    await this.#takeOver(plan);
    await this.#public.start();
    this.#phase = "running";
    this.#metrics.reloaded(true);
    this.log.info({ version, listen: this.#public.url, admin: this.#admin.url }, "running");
  }

  /** One at a time: who asks while one is under way waits for it, and then the files are read once more. */
  reload(): Promise<ReloadResult> {
    const result = this.#lastReload.then(() => this.#reload());
    this.#lastReload = result;
    return result;
  }

  async #reload(): Promise<ReloadResult> {
    if (this.#phase !== "running") return { ok: false, problems: [`the daemon is ${this.#phase}`] };
    try {
      const read = this.#read();
      if (!read.ok) return this.#refuseReload(read.problems.map(formatProblem));
      const { added, changed, removed } = await this.#takeOver(read.plan, read.settings);
      const notes = [...restartOnly(this.#settings, read.settings), ...this.#orphanNotes()];
      const { log, limits } = read.settings;
      this.#settings = { ...this.#settings, limits, log: { ...this.#settings.log, level: log.level } };
      this.log.setLevel(log.level);
      this.#metrics.reloaded(true);
      this.log.info({ added, changed, removed, notes }, "configuration reloaded");
      return { ok: true, added, changed, removed, notes, warnings: read.warnings.map(formatProblem) };
    } catch (err) {
      if (!(err instanceof LeatError)) this.log.error({ err }, "a reload failed");
      return this.#refuseReload([err instanceof Error ? err.message : String(err)]);
    }
  }

  #refuseReload(problems: readonly string[]): ReloadResult {
    this.#metrics.reloaded(false);
    this.log.error({ problems }, "configuration not reloaded: the one that runs was left as it is");
    return { ok: false, problems };
  }

  /** From the whole that runs (at the start: none) to the one that `plan` describes. Up to the swap it may still fail. */
  async #takeOver(plan: Plan, settings = this.#settings): Promise<Difference> {
    const before = this.#assembly;
    const after = assemble(plan, before, { ...this, hostOf: this.#hosts.sourceHost });
    const changes = difference(before, after);
    const targets = compileTargets(after, settings.limits, this.log);
    await startAll(changes.startSinks);

    await this.journal.ledger.reconcile(definitionsOf(plan));
    this.journal.configure(tuningOf(plan, settings));
    const replacedTargetsEnded = this.#delivery.apply(targets.pushed, targets.streams);
    // Sources only now: what they take has its routes.
    await startAll(changes.startSources);
    this.#public.setEndpoints(endpointsOf(after));
    this.#assembly = after;

    for (const note of this.#orphanNotes()) this.log.warn({ note }, "a route is gone that still owes events");
    void this.#stopReplaced(changes, replacedTargetsEnded);
    return changes;
  }

  /** In the background: a sender in mid-request, an attempt under way, may take their time to end. */
  async #stopReplaced({ stopSources, stopSinks }: Difference, targetsEnded: Promise<void>): Promise<void> {
    try {
      await Promise.all([stopAll(stopSources), targetsEnded]);
      await stopAll(stopSinks);
    } catch (err) {
      this.log.error({ err }, "a replaced source or sink did not stop as it should");
    }
  }

  // ------------------------------------------------------------------------------------------------------------ stop

  /** Longest time from `stop` to its end, in ms; past it the process should leave as it is. */
  get shutdownTimeoutMs(): number {
    return this.#settings.shutdown.timeoutMs;
  }

  /** Takes webhooks for `shutdown.delay` more, while load balancers learn of it, then ends everything in order. */
  async stop(): Promise<void> {
    this.#phase = "draining";
    const { delayMs, timeoutMs } = this.#settings.shutdown;
    await sleep(delayMs);
    await this.#lastReload;
    const graceMs = Math.max(0, timeoutMs - delayMs - CLOSE_MS);
    const listenerClosed = this.#public.stop(graceMs);
    const { sources = new Map(), sinks = new Map() } = this.#assembly ?? {};
    await Promise.all([stopAll(componentsOf(sources)), this.#delivery.stop(graceMs)]);
    await stopAll(componentsOf(sinks));
    await listenerClosed;
    await this.close();
  }

  /** Closes what is open, in whatever state it is. What waits for a commit is committed. */
  async close(): Promise<void> {
    this.#stopTrimming();
    await this.#delivery.stop(0);
    await this.#public.stop(0);
    await this.#console.stop();
    await stopIsolation();
    await this.journal.close();
    this.#phase = "stopped";
    await this.#admin.stop(0);
    this.#metrics.close();
  }

  // ------------------------------------------------------------------------------------------------------ its face

  get server(): Settings["server"] {
    return this.#settings.server;
  }

  /** Where webhooks come in and streams go out, with the port it got. */
  get url(): string {
    return this.#public.url;
  }

  get adminUrl(): string {
    return this.#admin.url;
  }

  /** Called once when the journal is lost to this process. */
  onFailure(listener: (error: Error) => void): void {
    this.journal.onHealth(({ failed }) => {
      if (failed !== null && this.#phase !== "stopped") listener(failed);
    });
  }

  readiness(): Readiness {
    const { journal, clock } = this;
    return readinessOf({ phase: this.#phase, journal, sinks: this.sinks(), clock });
  }

  sinks(): readonly SinkStatus[] {
    return sinkStatuses(this.#assembly, this.journal.ledger);
  }

  connections(): Promise<number> {
    return this.#public.connections();
  }

  pause(sink: string, reason: string): void {
    if (!this.#delivery.pause(sink, reason)) throw unknownSink(sink);
  }

  resume(sink: string): void {
    if (!this.#delivery.resume(sink)) throw unknownSink(sink);
  }

  #orphanNotes(): string[] {
    return orphans(this.journal).map(
      ({ name, owed }) =>
        `${name} has no route any more and still owes ${owed} events: \`leat purge ${name}\` gives them up`,
    );
  }
}

/** What closing the journal and the listeners may take of `shutdown.timeout`. */
const CLOSE_MS = 5_000;

interface Startable {
  start(): Promise<void>;
  stop(): Promise<void>;
}

function componentsOf(built: ReadonlyMap<string, { readonly component: Startable }>): Startable[] {
  return [...built.values()].map(({ component }) => component);
}

/** All or none. */
async function startAll(components: readonly Startable[]): Promise<void> {
  const started: Startable[] = [];
  try {
    for (const component of components) {
      await component.start();
      started.push(component);
    }
  } catch (error) {
    await stopAll(started);
    throw error;
  }
}

async function stopAll(components: readonly Startable[]): Promise<void> {
  await Promise.all(components.map((component) => component.stop()));
}

function tuningOf({ retention }: Plan, { limits }: Settings): JournalTuning {
  const { uncommittedBytes, commitWaitMs, dedupeIds } = limits;
  return { retention, limits: { uncommittedBytes, commitWaitMs, dedupeIds } };
}

function unknownSink(name: string): LeatError {
  return new LeatError("refused", "unknown_sink", `There is no pushed sink ${name} that a route names.`);
}
