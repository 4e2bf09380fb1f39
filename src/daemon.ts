/**
 * The daemon: what is put together, in which order, and taken apart in reverse.
 *
 *   start   journal → sinks → subscriptions → delivery → sources → the public listener
 *   reload  the new whole is made beside the old; one swap; what the old one had alone is stopped
 *   stop    readiness → readers sent away (delay) → sources and listener → delivery → streams → journal
 *
 * The admin listener comes before all but the journal and goes last, so that probes get an answer throughout.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { adminEndpoints } from "./admin/endpoints.ts";
import { type CanRevoke, canRevoke, type Revocation } from "./component.ts";
import { formatProblem, type LoadResult } from "./config/load.ts";
import { type Assembly, assemble, type Difference, difference, endpointsOf } from "./daemon/assembly.ts";
import {
  type Component,
  componentsOf,
  drainWithin,
  startAll,
  stopAll,
  stopWithin,
} from "./daemon/components.ts";
import { type Expiries, watchExpiries } from "./daemon/expiries.ts";
import type { DaemonFace, Phase, Readiness, ReloadResult, SinkStatus, SourceStatus } from "./daemon/face.ts";
import { tellOfIntake } from "./daemon/intake-log.ts";
import { createParts, openJournal, type Parts, tuningOf } from "./daemon/parts.ts";
import { orphanNotes, readinessOf } from "./daemon/readiness.ts";
import { restartOnly } from "./daemon/settings-change.ts";
import { sinkStatuses, sourceStatuses } from "./daemon/statuses.ts";
import { placeStreams } from "./daemon/stream-places.ts";
import { retainStreams } from "./daemon/stream-retention.ts";
import { definitionsOf } from "./daemon/subscriptions.ts";
import { compileTargets } from "./daemon/targets.ts";
import { LeatError } from "./errors.ts";
import type { Journal } from "./journal/journal.ts";
import type { Log } from "./log.ts";
import type { Plan, Settings } from "./plan.ts";
import { systemClock } from "./ports.ts";
import { stopIsolation } from "./routing/isolation.ts";
import { version } from "./version.ts";

export interface DaemonOptions {
  readonly configuration: Extract<LoadResult, { ok: true }>;
  /** Reads the configuration anew, for a reload. */
  readonly read: () => LoadResult;
  readonly log: Log;
}

/** Resolves once everything runs. Rejects with a LeatError that says why it can't, having closed what it had opened. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { settings, plan } = options.configuration;
  const journal = await openJournal(plan, settings, systemClock, options.log);
  const daemon = new Daemon(options, journal);
  try {
    await daemon.start(plan);
    return daemon;
  } catch (error) {
    await daemon.close();
    throw error;
  }
}

/** Of `shutdown.timeout` streams have at most so much to send their readers away, or `shutdown.delay` if that is longer. */
const DRAIN_SHARE = 0.5;
/** Of the time that is left after `shutdown.delay`: for what is under way. The rest is for readers' `bye` and the journal. */
const GRACE_SHARE = 0.7;
const BYE_MS = 2_000;
/** For the journal, at the very end. */
const CLOSE_MS = 1_000;
/** What a broker's source gets to end before its successor begins beside it. */
const SUCCESSION_MS = 10_000;

export class Daemon implements DaemonFace {
  readonly version = version;
  readonly clock = systemClock;
  readonly journal: Journal;
  readonly log: Log;
  readonly #read: () => LoadResult;
  readonly #parts: Parts;
  readonly #stopTrimming: () => void;
  readonly #expiries: Expiries;
  #settings: Settings;
  #assembly: Assembly | null = null;
  #phase: Phase = "starting";
  #closing = false;
  #lastReload: Promise<unknown> = Promise.resolve();

  constructor({ configuration: { settings }, read, log }: DaemonOptions, journal: Journal) {
    this.journal = journal;
    this.log = log;
    this.#read = read;
    this.#settings = settings;
    this.#parts = createParts(
      journal,
      settings,
      this.clock,
      log,
      () => this.#settings.limits,
      () => this.sources(),
    );
    tellOfIntake(journal, log);
    this.#stopTrimming = retainStreams(() => this.#assembly, journal, this.clock, log);
    this.#expiries = watchExpiries(journal, this.clock, log);
  }

  // ------------------------------------------------------------------------------------------------------------ start

  async start(plan: Plan): Promise<void> {
    const { admin, listener, metrics, console } = this.#parts;
    admin.setEndpoints(adminEndpoints(this, metrics, console));
    await admin.start();
    await this.#takeOver(plan, this.#settings);
    await listener.start();
    this.#phase = "running";
    metrics.reloaded(true);
    this.log.info({ version, listen: listener.url, admin: admin.url }, "running");
  }

  /** From the whole that runs (at the start: none) to the one that `plan` describes. Up to the swap it may still fail. */
  async #takeOver(plan: Plan, settings: Settings): Promise<Difference> {
    const { hosts, delivery, listener, sourceNews } = this.#parts;
    const after = assemble(plan, this.#assembly, {
      ...this,
      server: this.server,
      hosts,
      limits: settings.limits,
    });
    const changes = difference(this.#assembly, after);
    const targets = compileTargets(after, settings.limits, this.log);
    await placeStreams(after, this.journal);
    await startAll(changes.startSinks);

    await this.journal.ledger.reconcile(definitionsOf(plan));
    this.journal.configure(tuningOf(plan, settings));
    const replacedTargetsEnded = delivery.apply(targets.pushed, targets.streams);
    // Sources only now: what they take has its routes. A broker keeps what comes between the two.
    await this.#stopWithin(SUCCESSION_MS, changes.stopSourcesFirst);
    await startAll(changes.startSources);
    listener.setEndpoints(endpointsOf(after));
    this.#assembly = after;
    sourceNews.look();

    for (const note of orphanNotes(this.journal)) this.log.warn({ note }, "a route is gone that still owes");
    void this.#stopReplaced(changes, replacedTargetsEnded);
    return changes;
  }

  /** A broker that stands still may answer no goodbye. */
  async #stopWithin(ms: number, components: readonly Component[]): Promise<void> {
    if (await stopWithin(ms, components, this.clock)) return;
    this.log.warn({ ms }, "a source or sink has not ended in time: what isn't acknowledged comes again");
  }

  /**
   * In the background: a sender in mid-request, an attempt under way, may take their time to end. A stream's readers needn't
   * wait for that: what is under way for it its successor is handed too.
   */
  async #stopReplaced(
    { stopSources, stopSinks, stopStreams }: Difference,
    targetsEnded: Promise<void>,
  ): Promise<void> {
    const { delivery } = this.#parts;
    const streamsEnded = stopAll(stopStreams).finally(() => delivery.stopped(stopStreams));
    try {
      await Promise.all([streamsEnded, stopAll(stopSources), targetsEnded]);
      await stopAll(stopSinks);
    } catch (err) {
      this.log.error({ err }, "a replaced source or sink did not stop as it should");
    }
  }

  // ----------------------------------------------------------------------------------------------------------- reload

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
      const notes = [...restartOnly(this.#settings, read.settings), ...orphanNotes(this.journal)];
      const warnings = read.warnings.map(formatProblem);
      for (const at of warnings) this.log.warn({ at }, "configuration");
      const { log, limits } = read.settings;
      this.#settings = { ...this.#settings, limits, log: { ...this.#settings.log, level: log.level } };
      this.log.setLevel(log.level);
      this.#parts.metrics.reloaded(true);
      this.log.info({ added, changed, removed, notes, warnings }, "configuration reloaded");
      return { ok: true, added, changed, removed, notes, warnings };
    } catch (err) {
      if (!(err instanceof LeatError)) this.log.error({ err }, "a reload failed");
      return this.#refuseReload([err instanceof Error ? err.message : String(err)]);
    }
  }

  #refuseReload(problems: readonly string[]): ReloadResult {
    this.#parts.metrics.reloaded(false);
    this.log.error({ problems }, "configuration not reloaded: the one that runs was left as it is");
    return { ok: false, problems };
  }

  // ------------------------------------------------------------------------------------------------------------- stop

  /**
   * Takes webhooks for `shutdown.delay` more, while load balancers learn of it, and streams send their readers away; then
   * ends everything in order.
   */
  async stop(): Promise<void> {
    this.#phase = "draining";
    const { delayMs, timeoutMs } = this.#settings.shutdown;
    const closeAt = this.clock.monotonic() + timeoutMs - CLOSE_MS;
    const streams = componentsOf(this.#assembly?.sinks ?? new Map());
    const drainMs = Math.max(delayMs, DRAIN_SHARE * timeoutMs);
    const begun = this.clock.monotonic();
    await Promise.all([sleep(delayMs), drainWithin(drainMs, streams, this.clock)]);
    await this.#lastReload;
    const { listener, delivery } = this.#parts;
    const graceMs = GRACE_SHARE * Math.max(0, timeoutMs - (this.clock.monotonic() - begun));
    const listenerClosed = listener.stop(graceMs + BYE_MS);
    const { sources, sinks } = this.#assembly ?? { sources: new Map(), sinks: new Map() };
    await Promise.all([this.#stopWithin(graceMs + BYE_MS, componentsOf(sources)), delivery.stop(graceMs)]);
    await this.#stopWithin(Math.max(0, closeAt - this.clock.monotonic()), componentsOf(sinks));
    await listenerClosed;
    await this.close();
  }

  /** Closes what is open, in whatever state it is. What waits for a commit is committed. */
  async close(): Promise<void> {
    const { listener, delivery, admin, console, metrics, sourceNews } = this.#parts;
    this.#closing = true;
    sourceNews.stop();
    this.#stopTrimming();
    this.#expiries.stop();
    await delivery.stop(0);
    await listener.stop(0);
    await console.stop();
    await stopIsolation();
    await this.journal.close();
    this.#phase = "stopped";
    await admin.stop(0);
    metrics.close();
  }

  // ------------------------------------------------------------------------------------------------------ its face

  /** Longest time from `stop` to its end, in ms; past it the process should leave as it is. */
  get shutdownTimeoutMs(): number {
    return this.#settings.shutdown.timeoutMs;
  }

  get server(): Settings["server"] {
    return this.#settings.server;
  }

  /** Where webhooks come in and streams go out, with the port it got. */
  get url(): string {
    return this.#parts.listener.url;
  }

  get adminUrl(): string {
    return this.#parts.admin.url;
  }

  /** Called when the journal is lost to this process, other than by `stop`. */
  onFailure(listener: (error: Error) => void): void {
    const look = () => {
      const { failed } = this.journal.health();
      if (failed !== null && !this.#closing) listener(failed);
    };
    this.journal.onHealth(look);
    look();
  }

  readiness(): Readiness {
    const { journal, clock } = this;
    const expired = this.#expiries.notes();
    const [sources, sinks] = [this.sources(), this.sinks()];
    return readinessOf({ phase: this.#phase, journal, sources, sinks, expired, clock });
  }

  sources(): readonly SourceStatus[] {
    return sourceStatuses(this.#assembly);
  }

  sinks(): readonly SinkStatus[] {
    return sinkStatuses(this.#assembly, this.journal.ledger, this.#parts.delivery);
  }

  connections(): Promise<number> {
    return this.#parts.listener.connections();
  }

  pause(sink: string, reason: string): void {
    if (!this.#parts.delivery.pause(sink, reason)) throw unknownSink(sink);
  }

  resume(sink: string): void {
    if (!this.#parts.delivery.resume(sink)) throw unknownSink(sink);
  }

  revoke(sink: string, user: string, channel: string | null, forMs: number): Promise<number> {
    return this.#ofStream(sink, (stream) => stream.revoke(user, channel, forMs));
  }

  restore(sink: string, user: string, channel: string | null): Promise<boolean> {
    return this.#ofStream(sink, (stream) => stream.restore(user, channel));
  }

  revocations(sink: string): readonly Revocation[] {
    return this.#stream(sink).revocations();
  }

  #stream(name: string): CanRevoke {
    const stream = this.#assembly?.sinks.get(name)?.component;
    if (stream !== undefined && canRevoke(stream)) return stream;
    throw new LeatError("refused", "unknown_stream", `There is no stream ${name} whose readers are users.`);
  }

  /** Not beside a reload: the stream that it makes anew would know nothing of it. */
  #ofStream<T>(name: string, order: (stream: CanRevoke) => Promise<T>): Promise<T> {
    const done = this.#lastReload.then(() => order(this.#stream(name)));
    this.#lastReload = done.catch(() => {});
    return done;
  }
}

function unknownSink(name: string): LeatError {
  return new LeatError("refused", "unknown_sink", `There is no pushed sink ${name} that a route names.`);
}
