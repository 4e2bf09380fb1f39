/**
 * A daemon's life as a process: until it is told to stop, or can't go on.
 *
 * - SIGTERM, SIGINT: stops in order, exit 0; a second one, or `shutdown.timeout` over: exit 1 at once, which is safe,
 *   since whatever was promised is on disk.
 * - SIGHUP: reload. While it starts: start-signals.ts.
 * - The journal lost: nothing can be promised any more; exit with its error's code.
 * - A defect (an exception nobody caught): its state is unknown, so: log, a second to commit what waits, exit 1.
 *
 * A service manager (systemd) hears of each stage.
 */
import { flushCompileCache } from "node:module";
import { formatProblem, type LoadResult } from "../config/load.ts";
import { Supervisor } from "../daemon/supervisor.ts";
import { type Daemon, startDaemon } from "../daemon.ts";
import { EXIT_CODE, LeatError } from "../errors.ts";
import { createLog, type Log } from "../log.ts";
import { type Logger, systemClock } from "../ports.ts";
import { fail } from "./exit.ts";
import { type StartSignals, watchStart } from "./start-signals.ts";
import { unblockTerminals } from "./terminals.ts";

const FLUSH_MS = 1_000;
/** For the log's last lines, where their reader is behind. */
const LAST_WORDS_MS = 500;

/** Runs a daemon until the process ends. `read` reads its configuration, now and at every reload. */
export async function runDaemon(
  read: () => LoadResult,
  started: (daemon: Daemon) => void = () => {},
): Promise<void> {
  unblockTerminals();
  const start = watchStart();
  const configuration = read();
  if (!configuration.ok) {
    for (const problem of configuration.problems) process.stderr.write(`${formatProblem(problem)}\n`);
    process.exitCode = EXIT_CODE.configuration;
    return;
  }
  const log = createLog(configuration.settings.log);
  for (const warning of configuration.warnings) log.warn({ at: formatProblem(warning) }, "configuration");
  const supervisor = new Supervisor({ env: process.env, pid: process.pid, clock: systemClock, log });
  try {
    supervisor.starting();
    const daemon = await startDaemon({ configuration, read, log });
    supervisor.ready(daemon);
    started(daemon);
    // A process that is killed keeps nothing.
    flushCompileCache();
    await live(daemon, supervisor, log, start);
  } catch (error) {
    fail(error);
    // What was opened is closed; a thread that hangs must not keep a daemon that isn't one.
    process.exit();
  }
}

/** Ends the process; resolves never. */
async function live(daemon: Daemon, supervisor: Supervisor, log: Log, start: StartSignals): Promise<never> {
  const code = await new Promise<number>((resolve) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals) => {
      if (stopping) {
        log.warn({ signal }, "second signal: leaving at once");
        process.exit(1);
      }
      stopping = true;
      log.info({ signal }, "stopping");
      resolve(stopInTime(daemon, supervisor, log));
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    process.on("SIGHUP", () => void supervisor.reload(daemon));
    if (start.end()) void supervisor.reload(daemon);
    const defect = (err: unknown) => {
      log.error({ err }, "a defect: leaving");
      void Promise.all([flush(daemon), log.flushed(LAST_WORDS_MS)]).then(() =>
        process.exit(EXIT_CODE.internal),
      );
    };
    process.on("uncaughtException", defect);
    process.on("unhandledRejection", defect);
    daemon.onFailure((err) => {
      log.error({ err }, "the journal is lost to this process: leaving");
      resolve(err instanceof LeatError ? EXIT_CODE[err.kind] : EXIT_CODE.internal);
    });
  });
  await log.flushed(LAST_WORDS_MS);
  process.exit(code);
}

async function stopInTime(daemon: Daemon, supervisor: Supervisor, log: Logger): Promise<number> {
  const late = setTimeout(() => {
    log.error({ timeoutMs: daemon.shutdownTimeoutMs }, "stopping took too long: leaving");
    process.exit(1);
  }, daemon.shutdownTimeoutMs);
  await Promise.all([daemon.stop(), supervisor.stopping(daemon.shutdownTimeoutMs)]);
  clearTimeout(late);
  log.info({}, "stopped");
  return 0;
}

/** What waits for a commit gets a moment for it. */
async function flush(daemon: Daemon): Promise<void> {
  const late = new Promise<void>((resolve) => setTimeout(resolve, FLUSH_MS));
  await Promise.race([daemon.journal.close().catch(() => {}), late]);
}
