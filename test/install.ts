/** Debian packages that tests need beyond npm's. */
import { execFileSync } from "node:child_process";

/** Installs `name` where `there` says that it isn't; fails with what to do where only root may. */
export function install(name: string, there: () => boolean, remedy = ""): void {
  if (there()) return;
  if (process.getuid?.() !== 0) {
    throw new Error(`These tests need ${name}: run 'apt-get install ${name}' as root${remedy}.`);
  }
  const run = (args: string[]) =>
    execFileSync("apt-get", args, {
      stdio: "inherit",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  run(["update", "-qq"]);
  run(["install", "-y", "-qq", "--no-install-recommends", name]);
}
