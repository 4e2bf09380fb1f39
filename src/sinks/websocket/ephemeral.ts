/** Which channels keep nothing of what clients publish there. */
import { compilePattern, templatePattern } from "../../pattern.ts";
import type { Admission } from "../stream/access/admission.ts";
import type { ChannelEntry } from "../stream/access/grants.ts";
import { grantOfName } from "../stream/channels.ts";

/** Whether what this reader publishes there is handed round and kept nowhere. */
export type IsEphemeral = (admission: Admission, channel: string) => boolean;

/**
 * By the entry that opens the channel to who publishes. It may be open to others only: one who may publish on `cursor.*` and
 * read no `cursor.{{ claims.sub }}` but its own. Then by the first entry that somebody's claims would make cover it, since what
 * is handed round among its owner's connections must not be kept because a stranger said it.
 */
export function ephemeralBy(entries: readonly ChannelEntry[]): IsEphemeral {
  const shapes = entries.map((entry) => {
    const { name, ephemeral = false } = typeof entry === "string" ? { name: entry } : entry;
    return { covers: compilePattern(templatePattern(name)), ephemeral };
  });
  if (!shapes.some(({ ephemeral }) => ephemeral)) return () => false;
  return (admission, channel) => {
    const shape = grantOfName(admission, channel) ?? shapes.find(({ covers }) => covers(channel));
    return shape?.ephemeral === true;
  };
}
