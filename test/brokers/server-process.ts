import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../wait-for.ts";

/** A broker that a test holds in its hand. It ends with the test's process, however that ends. */
export interface Broker {
  /** Its own folder under the system's temporary one: configuration, data, log. */
  readonly folder: string;
  /** Starts it, again on the same ports and data; resolves once it answers. Rejects with the end of its log. */
  start(): Promise<void>;
  /** Ends it as an operator does (SIGTERM); resolves once the process is gone. */
  stop(): Promise<void>;
  /** kill -9; resolves once the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: it keeps its connections and its port, and answers nobody. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Ends it and removes its folder. */
  close(): Promise<void>;
}

export interface ServerProgram {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Asked until it yields true. */
  answers(): Promise<boolean>;
  /** How long a start may take, in ms. */
  readonly startMs: number;
}

/** Under /tmp: a Unix socket's path, which some of them put into it, has 108 bytes at most. */
export function brokerFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `leat-${name}-`));
}

/**
 * Runs `program` in `folder` with its output in `folder/log`. The kernel ends it when our process dies (`setpriv
 * --pdeathsig`), so that a killed test leaves nothing behind. Not started yet.
 */
export function serverProcess(folder: string, program: ServerProgram): Broker {
  let child: ChildProcess | null = null;
  mkdirSync(folder, { recursive: true });
  const log = join(folder, "log");
  const running = () => child !== null && child.exitCode === null && child.signalCode === null;
  const send = (signal: NodeJS.Signals) => {
    if (!running()) throw new Error(`${program.name} doesn't run`);
    child?.kill(signal);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (child === null || !running()) return;
    const gone = once(child, "exit");
    child.kill(signal);
    // One that is frozen, or that waits for its clients for ever, is ended all the same.
    if (signal !== "SIGKILL") child.kill("SIGCONT");
    const last = setTimeout(() => child?.kill("SIGKILL"), 30_000);
    await gone;
    clearTimeout(last);
  };
  return {
    folder,
    async start() {
      if (running()) throw new Error(`${program.name} runs already`);
      const output = openSync(log, "a");
      const started = spawn("setpriv", ["--pdeathsig", "KILL", ...program.command], {
        cwd: folder,
        env: { ...process.env, ...program.env },
        stdio: ["ignore", output, output],
      });
      closeSync(output);
      child = started;
      let failed: Error | null = null;
      started.once("error", (error) => (failed = error));
      try {
        await waitFor(
          `${program.name} to answer`,
          async () => failed !== null || !running() || (await program.answers()),
          program.startMs,
        );
      } catch (error) {
        await end("SIGKILL");
        throw new Error(`${program.name} didn't answer within ${program.startMs} ms:\n${tail(log)}`, {
          cause: error,
        });
      }
      if (failed !== null) throw failed;
      if (!running()) throw new Error(`${program.name} ended:\n${tail(log)}`);
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    freeze: () => send("SIGSTOP"),
    thaw: () => send("SIGCONT"),
    async close() {
      await end("SIGKILL");
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function tail(file: string): string {
  return readFileSync(file, "utf8").split("\n").slice(-30).join("\n");
}
