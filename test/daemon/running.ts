/** A daemon inside the test's process: real journal, real listeners on free ports, a folder of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { formatProblem } from "../../src/config/load.ts";
import { type Daemon, startDaemon } from "../../src/daemon.ts";
import { createLog } from "../../src/log.ts";

export interface Running {
  readonly daemon: Daemon;
  readonly url: string;
  readonly admin: string;
  readonly folder: string;
  /** The configuration's file. */
  readonly file: string;
  /** All that was logged, parsed. */
  readonly logged: Record<string, unknown>[];
  /** Replaces the configuration's file, as an editor would by writing. */
  writeConfig(yaml: string): void;
}

/** What stands in front of every test's own YAML: free ports, no watermark (the disk is the machine's own affair). */
export function preamble(server = "", watermark = "{ share: 0%, size: 0B }"): string {
  return (
    `server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0"${server === "" ? "" : `, ${server}`} }\n` +
    `journal: { path: ./data, watermark: ${watermark} }\n` +
    "shutdown: { delay: 0s, timeout: 10s }\n"
  );
}

export interface StartOptions {
  readonly server?: string;
  readonly watermark?: string;
  /** Where the configuration and the journal (`data`) are, or will be; removed at the end. A new one unless named. */
  readonly folder?: string;
}

/** Starts one with this YAML; the test's end stops it. */
export async function startForTest(
  t: TestContext,
  yaml: string,
  options: StartOptions = {},
): Promise<Running> {
  const running = await startRunning(yaml, options);
  t.after(running.stop);
  return running;
}

/** Starts one with this YAML, for who stops it by `stop`. */
export async function startRunning(
  yaml: string,
  options: StartOptions = {},
): Promise<Running & { stop(): Promise<void> }> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "leat-daemon-"));
  const file = join(folder, "leat.yaml");
  const logged: Record<string, unknown>[] = [];
  const writeConfig = (text: string) =>
    writeFileSync(file, preamble(options.server, options.watermark) + text);
  writeConfig(yaml);
  const read = () => readConfiguration([file], { env: {} });
  const configuration = read();
  if (!configuration.ok) throw new Error(configuration.problems.map(formatProblem).join("\n"));
  const log = createLog({
    level: "debug",
    format: "json",
    stream: { write: (line) => logged.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const daemon = await startDaemon({ configuration, read, log });
  const stop = async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { daemon, url: daemon.url, admin: daemon.adminUrl, folder, file, logged, writeConfig, stop };
}

/** What an endpoint of JSON answered. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Record<string, unknown>;
}

export async function getJson(url: string, headers: Record<string, string> = {}): Promise<Answered> {
  const response = await fetch(url, { headers, redirect: "manual" });
  return { status: response.status, headers: response.headers, json: await parsed(response) };
}

export async function postJson(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    redirect: "manual",
  });
  return { status: response.status, headers: response.headers, json: await parsed(response) };
}

async function parsed(response: Response): Promise<Record<string, unknown>> {
  const text = await response.text();
  return text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : { text };
}
