/**
 * A machine with the real systemd as process 1: this one's own files under an overlay that takes what is written, booted
 * by systemd-nspawn. It has a network of its own, runs one script, and is gone. Takes root and Debian's systemd-container.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Machine {
  /** Where its `/` is, before it is booted and after. */
  readonly root: string;
  /** Boots it, has it run this with bash as root, and returns what that printed. */
  run(script: string, timeoutMs: number): Promise<string>;
  close(): void;
}

const SERVICE = `[Unit]
After=basic.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=file:/script.out
StandardError=inherit
ExecStart=/bin/bash /script
ExecStopPost=/bin/systemctl poweroff --force
`;
const TARGET = "[Unit]\nRequires=basic.target script.service\nAfter=basic.target\n";

export function makeMachine(): Machine {
  const folder = mkdtempSync(join(tmpdir(), "leat-machine-"));
  const root = join(folder, "root");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=3G", "tmpfs", folder]);
  for (const name of ["root", "upper", "work"]) mkdirSync(join(folder, name));
  const options = `lowerdir=/,upperdir=${join(folder, "upper")},workdir=${join(folder, "work")}`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", options, root]);
  write(join(root, "etc/systemd/system/script.service"), SERVICE);
  write(join(root, "etc/systemd/system/script.target"), TARGET);
  const target = join(root, "etc/systemd/system/default.target");
  rmSync(target, { force: true });
  symlinkSync("/etc/systemd/system/script.target", target);
  // Its own: two machines of one id aren't let at each other's files.
  write(join(root, "etc/machine-id"), "");
  return {
    root,
    async run(script, timeoutMs) {
      write(join(root, "script"), script);
      write(join(root, "script.out"), "");
      const args = ["-D", root, "--register=no", "--keep-unit", "--private-network", "--console=pipe", "-b"];
      const booted = spawn("systemd-nspawn", args, { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      booted.stderr.on("data", (chunk) => (said += chunk));
      const late = setTimeout(() => booted.kill("SIGKILL"), timeoutMs);
      await once(booted, "exit");
      clearTimeout(late);
      const printed = readFileSync(join(root, "script.out"), "utf8");
      return printed === "" ? `nothing was run: ${said}` : printed;
    },
    close() {
      execFileSync("umount", [root]);
      execFileSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    },
  };
}

export function write(file: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
}
