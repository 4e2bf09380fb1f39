/**
 * The daemon's side of its service manager's protocol (systemd's `sd_notify`): told when it is ready, reloads or stops,
 * how it is, and, at the pace that the manager asked for, that it works. Where there is no such manager, nothing
 * happens.
 *
 *   start  STATUS, EXTEND_TIMEOUT_USEC while the journal opens → READY
 *   run    WATCHDOG, while it works (`watchdog.ts`); STATUS when it changes
 *   reload RELOADING, MONOTONIC_USEC → READY, also of a reload that changed nothing
 *   stop   STOPPING, EXTEND_TIMEOUT_USEC: as long as `shutdown.timeout` may take
 */
import type { Journal } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";
import type { DaemonFace, ReloadResult } from "./face.ts";
import { type Message, type NotifySocket, openNotifySocket } from "./notify-socket.ts";
import { statusLine } from "./status-line.ts";
import { startWatchdog } from "./watchdog.ts";

/** What it looks at of a daemon that runs. */
export interface Supervised extends Pick<DaemonFace, "readiness"> {
  readonly journal: Pick<Journal, "ping">;
}

export interface SupervisorOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly pid: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How often a start that takes long asks for more time, and for how much: in the end somebody should look. */
const EXTEND_EVERY_MS = 10_000;
const EXTEND_BY_MS = 60_000;
const LONGEST_START_MS = 3_600_000;
/** Between the daemon's own end of a shutdown that hangs and the manager's. */
const STOP_SPARE_MS = 10_000;
/** How often the status is looked at where no watchdog sets the pace. */
const STATUS_MS = 20_000;

export class Supervisor {
  readonly #socket: NotifySocket | null;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Null: the manager wants no sign of life. */
  readonly #watchdogMs: number | null;
  #status = "";
  /** Of the last reload, if that changed nothing. */
  #refused = "";
  #reloads = 0;
  #stopping = false;
  /** Ends what was begun by the stage before. */
  #leave = () => {};

  constructor({ env, pid, clock, log }: SupervisorOptions) {
    this.#socket = openNotifySocket({ env, log });
    this.#clock = clock;
    this.#log = log;
    this.#watchdogMs = watchdogOf(env, pid);
  }

  starting(): void {
    if (this.#socket === null) return;
    const began = this.#clock.monotonic();
    let cancel = () => {};
    const extend = (): void => {
      if (this.#clock.monotonic() - began > LONGEST_START_MS) return;
      void this.#send({ EXTEND_TIMEOUT_USEC: microseconds(EXTEND_BY_MS), STATUS: "Opening the journal" });
      cancel = this.#clock.after(EXTEND_EVERY_MS, extend);
    };
    extend();
    this.#leave = () => cancel();
  }

  ready(daemon: Supervised): void {
    if (this.#socket === null) return;
    this.#leave();
    void this.#send({ READY: "1", STATUS: this.#newStatus(daemon) });
    const withinMs = this.#watchdogMs;
    const sign: Message = withinMs === null ? {} : { WATCHDOG: "1" };
    const works = (): Promise<void> => {
      const before = this.#status;
      const status = this.#newStatus(daemon);
      return this.#send({ ...sign, ...(status === before ? {} : { STATUS: status }) });
    };
    const { journal } = daemon;
    this.#leave =
      withinMs === null
        ? this.#repeat(works)
        : startWatchdog({ journal, clock: this.#clock, log: this.#log, withinMs, works });
  }

  /** Tells of a reload around it. */
  async reload(daemon: Pick<DaemonFace, "reload" | "readiness">): Promise<ReloadResult> {
    this.#reloads++;
    // The time tells the manager that this answers its present request, and not an earlier one.
    const now = String(process.hrtime.bigint() / 1000n);
    void this.#send({ RELOADING: "1", MONOTONIC_USEC: now, STATUS: "Reloading" });
    const result = await daemon.reload();
    this.#reloads--;
    this.#refused = result.ok
      ? ""
      : ` (the last reload changed nothing: ${result.problems[0] ?? "it failed"})`;
    // Until all that were asked for are done.
    if (this.#reloads === 0 && !this.#stopping) {
      await this.#send({ READY: "1", STATUS: this.#newStatus(daemon) });
    }
    return result;
  }

  /** Resolves once the manager knows. Signs of life go on until the process ends. */
  async stopping(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    await this.#send({
      STOPPING: "1",
      EXTEND_TIMEOUT_USEC: microseconds(timeoutMs + STOP_SPARE_MS),
      STATUS: "Stopping",
    });
  }

  /** Where no watchdog sets the pace. */
  #repeat(work: () => Promise<void>): () => void {
    let cancel = () => {};
    const next = (): void => {
      cancel = this.#clock.after(STATUS_MS, () => void work().then(next));
    };
    next();
    return () => cancel();
  }

  #newStatus(daemon: Pick<DaemonFace, "readiness">): string {
    this.#status = statusLine(daemon.readiness()) + this.#refused;
    return this.#status;
  }

  async #send(message: Message): Promise<void> {
    if (this.#socket === null || Object.keys(message).length === 0) return;
    await this.#socket.send(message);
  }
}

/** A watchdog that is another process's affair isn't ours: its variables are inherited. */
function watchdogOf({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv, pid: number): number | null {
  if (WATCHDOG_USEC === undefined || !/^[1-9]\d{0,15}$/.test(WATCHDOG_USEC)) return null;
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== "" && WATCHDOG_PID !== String(pid)) return null;
  return Number(WATCHDOG_USEC) / 1000;
}

function microseconds(ms: number): string {
  return String(Math.round(ms * 1000));
}
