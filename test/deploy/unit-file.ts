/** The systemd unit as systemd reads it: its assignments by section, and its commands as they are to be run here. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { MAIN } from "../e2e/daemon.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const UNIT = join(ROOT, "deploy/systemd/leat.service");

/** `Service.ExecStart` → its values, in order. */
export function readUnit(text = readFileSync(UNIT, "utf8")): Map<string, string[]> {
  const values = new Map<string, string[]>();
  let section = "";
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const header = /^\[(\w+)\]$/.exec(line);
    if (header !== null) {
      section = header[1] ?? "";
      continue;
    }
    const [, name = "", value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name === "" || section === "") throw new Error(`not a line of a unit: ${line}`);
    const key = `${section}.${name}`;
    values.set(key, [...(values.get(key) ?? []), value]);
  }
  return values;
}

/** Its only value. */
export function only(unit: Map<string, string[]>, key: string): string {
  const values = unit.get(key) ?? [];
  if (values.length !== 1) throw new Error(`${key} stands ${values.length} times in the unit`);
  return values[0] as string;
}

/** The installed paths of the unit, put where this checkout and this folder have them. */
export function relocated(text: string, folder: string): string {
  return text
    .replaceAll("/opt/leat/node_modules/.bin/node", process.execPath)
    .replaceAll("/opt/leat/node_modules/leat/dist/main.js", MAIN)
    .replaceAll("/etc/leat", join(folder, "etc"))
    .replaceAll("/var/lib/leat", join(folder, "state"));
}
