/** A Leat under measurement: the real daemon, in a folder of its own, with a GitHub source at /webhooks/github. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, type Server, startServer } from "./process.ts";
import { type Sample, scrapeMetrics } from "./scrape.ts";
import { SECRET } from "./wrk.ts";

const MAIN = new URL("../src/main.ts", import.meta.url).pathname;
/** Of a journal with millions of events: their ids are read at the start. */
const READY_MS = 60_000;

export const PATH = "/webhooks/github";

export interface Leat extends Server {
  readonly admin: string;
  readonly metrics: () => Promise<readonly Sample[]>;
}

export interface LeatStart {
  /** YAML: sinks, routes, and what else is not `server`, `journal`, `log` or `sources`. */
  readonly config: string;
  /** YAML: the sources, in place of the GitHub one. */
  readonly sources?: string;
  readonly folder: string;
  /** The journal's folder; a relative one is in `folder`. */
  readonly journal?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const GITHUB = `
sources:
  github: { type: webhook, path: ${PATH}, verify: { type: github, secret: "${SECRET}" } }`;

export async function startLeat(start: LeatStart): Promise<Leat> {
  const { config, sources = GITHUB, folder, journal = "data", env = {} } = start;
  const [port, adminPort] = [await freePort(), await freePort()];
  const file = join(folder, `leat-${port}.yaml`);
  writeFileSync(
    file,
    `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:${adminPort}" }
journal: { type: sqlite, path: "${journal}" }
log: { level: error }
${sources}
${config}`,
  );
  const url = `http://127.0.0.1:${port}`;
  const admin = `http://127.0.0.1:${adminPort}`;
  const args = [MAIN, "run", "--config", file];
  const server = await startServer({ args, url, cwd: folder, env, readyMs: READY_MS });
  return { ...server, admin, metrics: () => scrapeMetrics(admin) };
}

/** Gives `use` a folder and something to stop servers with afterwards, however it ends; the last started stops first. */
export async function inFolder<T>(
  use: (folder: string, started: <S extends Pick<Server, "stop">>(server: S) => S) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "leat-bench-"));
  const servers: Pick<Server, "stop">[] = [];
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  try {
    return await use(folder, (server) => {
      servers.push(server);
      return server;
    });
  } finally {
    for (const server of servers.reverse()) await server.stop();
    remove();
    process.off("exit", remove);
  }
}
