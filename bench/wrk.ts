/** wrk: an external load generator, so that the load isn't made by the runtime that is measured. */
import { execFile } from "node:child_process";
import { createHmac, randomInt } from "node:crypto";
import { promisify } from "node:util";

export const SECRET = "bench-secret-of-32-bytes-or-more!";

/** 800 bytes of JSON. */
export const BODY = (() => {
  const text = (pad: string) =>
    JSON.stringify({
      action: "opened",
      number: 42,
      pull_request: { title: "Say what a retry waits for", state: "open", draft: false, commits: 3 },
      repository: { id: 1296269, full_name: "octo/hello", language: "TypeScript" },
      sender: { id: 583231, login: "octocat" },
      pad,
    });
  return text("x".repeat(800 - text("").length));
})();

export function sign(body: string): string {
  return `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`;
}

export interface Load {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly path: string;
  readonly seconds: number;
  readonly connections?: number;
  /** Requests a second; 0: each connection sends its next one as soon as the last was answered. */
  readonly perSecond?: number;
}

/** Posts signed webhooks. Rejects when one is answered other than 2xx or 3xx, or not at all. */
export async function wrk({
  url,
  path,
  seconds,
  connections = 64,
  perSecond = 0,
}: LoadOptions): Promise<Load> {
  const script = new URL("wrk.lua", import.meta.url).pathname;
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "-s", script, url];
  const { stdout } = await promisify(execFile)("wrk", args, {
    env: {
      ...process.env,
      BENCH_BODY: BODY,
      BENCH_PATH: path,
      BENCH_SIGNATURE: sign(BODY),
      BENCH_SEED: String(randomInt(2 ** 31)),
      BENCH_RATE: String(perSecond),
    },
  });
  const line = /^RESULT (.*)$/m.exec(stdout);
  if (line === null) throw new Error(`wrk printed no result:\n${stdout}`);
  const [requests = 0, micros = 1, badStatuses = 0, socketErrors = 0, p50 = 0, p99 = 0, max = 0] = (
    line[1] ?? ""
  )
    .split(" ")
    .map(Number);
  if (badStatuses + socketErrors > 0) {
    throw new Error(`${url}: ${badStatuses} bad statuses, ${socketErrors} socket errors`);
  }
  return {
    requests,
    perSecond: requests / (micros / 1e6),
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    maxMs: max / 1000,
  };
}
