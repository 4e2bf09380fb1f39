/**
 * Installs what the tests need beyond npm's packages: a real Chromium, systemd's tools and brokers (Debian's), Kafka's
 * jars (Maven's), and the checkers of what is in deploy/ (PyPI's). Run by `npm test`; does nothing where all is there.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { installKafka } from "./brokers/kafka-jars.ts";
import { program } from "./brokers/programs.ts";
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
  { name: "gcc", there: present("cc") },
  { name: "libc6-dev", there: existsSync("/usr/include/stdio.h") },
  { name: "sqlite3", there: present("sqlite3") },
  { name: "perl", there: present("perl") },
  { name: "python3-venv", there: succeeds("python3", ["-c", "import ensurepip, venv"]) },
  { name: "openssl", there: program("openssl") !== null },
  { name: "curl", there: program("curl") !== null },
  { name: "nginx", there: program("nginx") !== null },
  { name: "mosquitto", there: program("mosquitto") !== null },
  { name: "mosquitto-clients", there: program("mosquitto_pub") !== null },
  { name: "rabbitmq-server", there: program("rabbitmq-server") !== null },
  { name: "kcat", there: program("kcat") !== null },
  { name: "default-jre-headless", there: program("java") !== null, hint: "Java 17 or later" },
  { name: "maven", there: program("mvn") !== null },
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
  withoutServices(() => {
    run(["update", "-qq"]);
    run(["install", "-y", "-qq", "--no-install-recommends", ...names]);
  });
}

/** Debian starts the service of each package that has one, on its well-known port; the tests start their own. */
function withoutServices(install: () => void): void {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) {
    install();
    return;
  }
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    install();
  } finally {
    rmSync(policy);
  }
}

installKafka();

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
