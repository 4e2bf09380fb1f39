/** Which settings a reload found changed although only a restart can take them over. */
import { isDeepStrictEqual } from "node:util";
import type { Settings } from "../plan.ts";

/** `log.level` and `limits` follow a reload; everything else was built in at the start. */
const FOLLOWING = new Set(["limits", "log.level"]);

/** Sentences for people; no values, since a token may be among them. */
export function restartOnly(running: Settings, read: Settings): string[] {
  const notes: string[] = [];
  for (const [section, fields] of Object.entries(read)) {
    if (FOLLOWING.has(section)) continue;
    const before = running[section as keyof Settings] as Readonly<Record<string, unknown>>;
    for (const [field, value] of Object.entries(fields)) {
      const name = `${section}.${snake(field)}`;
      if (FOLLOWING.has(name) || isDeepStrictEqual(before[field], value)) continue;
      notes.push(`${name} has changed, which takes a restart`);
    }
  }
  return notes;
}

/** As the file spells it: `adminToken` is `admin_token`, and a duration there has no `Ms`. */
function snake(field: string): string {
  return field.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
