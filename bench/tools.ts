/** Debian's packages that the bench needs, installed where they are missing (as root). */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** The load generator isn't written in the runtime that is measured. */
export function ensureWrk(): void {
  ensure("wrk", "-v", ["wrk"]);
}

function ensure(command: string, argument: string, packages: readonly string[]): void {
  try {
    execFileSync(command, [argument], { stdio: "ignore" });
  } catch (error) {
    // wrk exits 1 after it has printed its version: only a missing file means that it isn't there.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return;
    if (process.getuid?.() !== 0) {
      throw new Error(`the bench needs ${command}: run 'apt-get install ${packages.join(" ")}' as root`);
    }
    execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], {
      stdio: "inherit",
    });
  }
}

/** What makes a process' fsync take so much longer, for its environment. The library is put into `folder`. */
export function slowFsync(folder: string, ms: number): Record<string, string> {
  ensure("cc", "--version", ["gcc", "libc6-dev"]);
  const library = join(folder, "fsync-delay.so");
  const source = new URL("fsync-delay.c", import.meta.url).pathname;
  execFileSync("cc", ["-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], { stdio: "inherit" });
  return { LD_PRELOAD: library, BENCH_FSYNC_MS: String(ms) };
}
