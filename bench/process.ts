/** A server under measurement: started as a process of its own, its processor time read from /proc. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

/** Linux counts processor time in hundredths of a second wherever Node runs (USER_HZ). */
const TICKS_PER_SECOND = 100;

export interface Server {
  readonly url: string;
  readonly pid: number;
  /** Seconds of processor time so far, all threads, user and system. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

export interface ServerStart {
  readonly args: readonly string[];
  /** The process is ready once this answers anything at all. */
  readonly url: string;
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly readyMs?: number;
}

/** Starts `node <args>` and waits until it answers; it never outlives us. Rejects when it ends, or isn't there in `readyMs` (20 s). */
export async function startServer({ args, url, cwd, env, readyMs }: ServerStart): Promise<Server> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  try {
    await answers(url, child, readyMs ?? 20_000);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return {
    url,
    pid: child.pid as number,
    cpuSeconds() {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** Starts one of this folder's scripts with a free port as its first argument. */
export async function startScript(script: string, cwd: string, ...args: string[]): Promise<Server> {
  const port = await freePort();
  const file = new URL(script, import.meta.url).pathname;
  return startServer({ args: [file, String(port), ...args], url: `http://127.0.0.1:${port}`, cwd });
}

/** A port of the loopback that nobody has just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function answers(url: string, child: ChildProcess, readyMs: number): Promise<void> {
  const deadline = performance.now() + readyMs;
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`the server for ${url} ended with ${child.exitCode}`);
    try {
      await fetch(url);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`nothing answers at ${url}`);
}
