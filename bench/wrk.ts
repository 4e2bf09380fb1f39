/** wrk, Debian's package: the external load generator, so that the load isn't made by the runtime that is measured. */
import { execFile, execFileSync } from "node:child_process";
import { createHmac, randomInt } from "node:crypto";
import { promisify } from "node:util";

export const SECRET = "bench-secret-of-32-bytes-or-more!";

/** 800 bytes of JSON. */
export const BODY = (() => {
  const text = (pad: string) =>
    JSON.stringify({
      action: "opened",
      number: 42,
      repository: { id: 1296269, full_name: "octo/hello" },
      pad,
    });
  return text("x".repeat(800 - text("").length));
})();

export interface Load {
  readonly requests: number;
  readonly perSecond: number;
  /** Answers that were not 2xx or 3xx. */
  readonly badStatuses: number;
  readonly socketErrors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Installs wrk where it is missing (as root). */
export function ensureWrk(): void {
  try {
    execFileSync("wrk", ["-v"], { stdio: "ignore" });
  } catch (error) {
    // wrk exits 1 after it has printed its version: only a missing file means that it isn't there.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return;
    if (process.getuid?.() !== 0) throw new Error("the bench needs wrk: run 'apt-get install wrk' as root");
    execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "wrk"], { stdio: "inherit" });
  }
}

/** Posts signed webhooks over `connections` connections for `seconds`. */
export async function wrk(url: string, path: string, seconds: number, connections = 64): Promise<Load> {
  const { stdout } = await promisify(execFile)(
    "wrk",
    [
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "--timeout",
      "10s",
      "-s",
      new URL("wrk.lua", import.meta.url).pathname,
      url,
    ],
    {
      env: {
        ...process.env,
        BENCH_BODY: BODY,
        BENCH_PATH: path,
        BENCH_SIGNATURE: `sha256=${createHmac("sha256", SECRET).update(BODY).digest("hex")}`,
        BENCH_SEED: String(randomInt(2 ** 31)),
      },
    },
  );
  const line = /^RESULT (.*)$/m.exec(stdout);
  if (line === null) throw new Error(`wrk printed no result:\n${stdout}`);
  const [requests = 0, micros = 1, badStatuses = 0, socketErrors = 0, p50 = 0, p99 = 0, max = 0] = (
    line[1] ?? ""
  )
    .split(" ")
    .map(Number);
  return {
    requests,
    perSecond: requests / (micros / 1e6),
    badStatuses,
    socketErrors,
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    maxMs: max / 1000,
  };
}
