/** Which channels a reader may join, and which of a stream's frames are for it. */
import type { ChannelSelection } from "../../component.ts";
import { compilePattern, covers, isPattern, literalName } from "../../pattern.ts";

/** A request may name so many channels, each of so many bytes. */
const MAX_ASKED = 100;
const MAX_CHANNEL_BYTES = 256;

export type Selected =
  | { readonly allowed: true; readonly selection: ChannelSelection }
  | { readonly allowed: false; readonly status: 400 | 403; readonly code: string; readonly message: string };

/**
 * What a reader gets for the channels it `asked` for, by the sink's `entries`: a name or a pattern is allowed where one
 * entry is the same or covers it. None asked: all entries that are no patterns.
 */
export function selectChannels(entries: readonly string[], asked: readonly string[]): Selected {
  const wanted = asked.length > 0 ? asked : entries.filter((entry) => !isPattern(entry));
  if (wanted.length === 0) return refused(400, "channel_missing", "Name a channel: ?channel=…");
  if (asked.length > MAX_ASKED) {
    return refused(400, "too_many_channels", `At most ${MAX_ASKED} channels may be named; a pattern may do.`);
  }
  if (asked.some((name) => Buffer.byteLength(name) > MAX_CHANNEL_BYTES)) {
    return refused(400, "channel_too_long", `A channel has at most ${MAX_CHANNEL_BYTES} bytes.`);
  }
  if (!wanted.every((name) => entries.some((entry) => covers(entry, name)))) {
    return refused(403, "channel_not_allowed", "One of the channels named isn't open to this reader.");
  }
  const exact = new Set<string>();
  const patterns = new Set<string>();
  for (const name of wanted) {
    const literal = literalName(name);
    if (literal === null) patterns.add(name);
    else exact.add(literal);
  }
  return { allowed: true, selection: { exact: [...exact].sort(), patterns: [...patterns].sort() } };
}

function refused(status: 400 | 403, code: string, message: string): Selected {
  return { allowed: false, status, code, message };
}

/** The predicate of a selection. */
export function compileSelection({ exact, patterns }: ChannelSelection): (channel: string) => boolean {
  const names = new Set(exact);
  const matchers = patterns.map((pattern) => compilePattern(pattern));
  return (channel) => names.has(channel) || matchers.some((matches) => matches(channel));
}
