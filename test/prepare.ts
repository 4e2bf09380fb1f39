/**
 * Installs what the end-to-end tests need beyond npm's packages: a real Chromium (Debian's). Run by `npm test`; does
 * nothing where it is there already.
 */
import { execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { CHROMIUM } from "./chromium.ts";

function present(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (!present(CHROMIUM)) {
  if (process.getuid?.() !== 0) {
    console.error(
      `The end-to-end tests need ${CHROMIUM}: run 'apt-get install chromium' as root, or set LEAT_CHROMIUM.`,
    );
    process.exit(1);
  }
  const run = (args: string[]) =>
    execFileSync("apt-get", args, {
      stdio: "inherit",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  run(["update", "-qq"]);
  run(["install", "-y", "-qq", "--no-install-recommends", "chromium"]);
}
