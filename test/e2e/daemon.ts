/** A real daemon in a process of its own, as a user runs it, and a real receiver: what the end-to-end tests share. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { waitFor } from "../wait-for.ts";

export const MAIN = resolve(import.meta.dirname, "../../src/main.ts");

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export interface Daemon {
  readonly url: string;
  readonly admin: string;
  readonly folder: string;
  /** All that it has printed so far, over its restarts. */
  output(): string;
  /** Starts the process and waits until /readyz says 200. Rejects if it ends before. */
  start(): Promise<void>;
  /** Starts the process. */
  launch(): void;
  signal(signal: NodeJS.Signals): void;
  /** The number of the process that was started last. */
  pid(): number;
  /** Resolves with the exit code, or the signal's name. */
  ended(): Promise<number | string>;
  writeConfig(yaml: string): void;
  /** kill -9 if it still runs. */
  end(): Promise<void>;
  /** Ends it, and removes the folder. */
  close(): Promise<void>;
}

/** `yaml` gets `server`, `journal` and a short shutdown in front; its folder is its own. */
export async function makeDaemon(
  yaml: string,
  env: Record<string, string> = {},
  main: string = MAIN,
): Promise<Daemon> {
  const folder = mkdtempSync(join(tmpdir(), "leat-e2e-"));
  const [listen, admin] = [await freePort(), await freePort()];
  let child: ChildProcess | null = null;
  let printed = "";
  const daemon: Daemon = {
    url: `http://127.0.0.1:${listen}`,
    admin: `http://127.0.0.1:${admin}`,
    folder,
    output: () => printed,
    launch() {
      child = spawn(process.execPath, [main, "run", "--config", join(folder, "leat.yaml")], {
        cwd: folder,
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      child.stdout?.on("data", (chunk) => (printed += chunk));
      child.stderr?.on("data", (chunk) => (printed += chunk));
    },
    async start() {
      daemon.launch();
      const started = child;
      const over = () => started !== null && (started.exitCode ?? started.signalCode) !== null;
      const ready = async () => over() || (await fetch(`${daemon.admin}/readyz`)).ok;
      await waitFor("the daemon to be ready", ready, 60_000);
      if (over()) throw new Error(`it ended with ${await daemon.ended()}:\n${printed}`);
    },
    signal(signal) {
      child?.kill(signal);
    },
    pid() {
      if (child?.pid === undefined) throw new Error("it was never started");
      return child.pid;
    },
    async ended() {
      if (child === null) throw new Error("it was never started");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      return child.exitCode ?? child.signalCode ?? "unknown";
    },
    writeConfig(text) {
      writeFileSync(
        join(folder, "leat.yaml"),
        `server: { listen: "127.0.0.1:${listen}", admin: "127.0.0.1:${admin}" }\n` +
          `journal: { type: sqlite, path: ./data, watermark: { share: 0%, size: 0B } }\n` +
          `shutdown: { delay: 100ms, timeout: 10s }\n${text}`,
      );
    },
    async end() {
      if (child === null || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    async close() {
      await daemon.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  daemon.writeConfig(yaml);
  return daemon;
}

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** What the next requests are answered; may answer late or never. */
  answer(request: Received): number | Promise<number>;
  close(): Promise<void>;
}

/** Keeps what it gets and answers 200, until `answer` is replaced. */
export async function makeReceiver(port = 0): Promise<Receiver> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", async () => {
      const got = {
        path: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
        at: performance.now(),
      };
      receiver.received.push(got);
      response.statusCode = await receiver.answer(got);
      response.end();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: [],
    answer: () => 200,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return receiver;
}
