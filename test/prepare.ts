/**
 * Installs what the end-to-end tests need beyond npm's packages: a real Chromium and systemd's tools (Debian's), and
 * the checkers of what is in deploy/ (PyPI's). Run by `npm test`; does nothing where all is there already.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { CHROMIUM } from "./chromium.ts";
import { TOOLS } from "./deploy/tools.ts";
import { libfaketime } from "./faults/faketime.ts";

function present(program: string): boolean {
  const folders = program.startsWith("/") ? [""] : (process.env.PATH ?? "").split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const succeeds = (program: string, args: string[]) => spawnSync(program, args).status === 0;

const DEBIAN: readonly { readonly name: string; readonly there: boolean; readonly hint?: string }[] = [
  { name: "chromium", there: present(CHROMIUM), hint: "or set LEAT_CHROMIUM" },
  { name: "systemd", there: present("systemd-notify") && present("systemd-analyze") },
  { name: "systemd-container", there: present("systemd-nspawn") },
  { name: "libfaketime", there: libfaketime() !== undefined },
  { name: "sqlite3", there: present("sqlite3") },
  { name: "perl", there: present("perl") },
  { name: "python3-venv", there: succeeds("python3", ["-c", "import ensurepip, venv"]) },
];

const missing = DEBIAN.filter(({ there }) => !there);
if (missing.length > 0) {
  const names = missing.map(({ name }) => name);
  if (process.getuid?.() !== 0) {
    const hints = missing.flatMap(({ hint }) => hint ?? []).join("; ");
    console.error(
      `The end-to-end tests need more: run 'apt-get install ${names.join(" ")}' as root${hints && `, ${hints}`}.`,
    );
    process.exit(1);
  }
  const run = (args: string[]) =>
    execFileSync("apt-get", args, {
      stdio: "inherit",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  run(["update", "-qq"]);
  run(["install", "-y", "-qq", "--no-install-recommends", ...names]);
}

const wanted = TOOLS.packages.join("\n");
if (stamped() !== wanted) {
  execFileSync("python3", ["-m", "venv", "--clear", TOOLS.folder], { stdio: "inherit" });
  const pip = ["install", "--quiet", "--disable-pip-version-check", ...TOOLS.packages];
  execFileSync(join(TOOLS.folder, "bin/pip"), pip, { stdio: "inherit" });
  writeFileSync(TOOLS.stamp, wanted);
}

function stamped(): string | null {
  try {
    return readFileSync(TOOLS.stamp, "utf8");
  } catch {
    return null;
  }
}
