/** Which channels a reader may join, and which of a stream's frames are for it. */
import type { ChannelSelection } from "../../component.ts";
import {
  compilePattern,
  covers,
  escapePattern,
  hasInnerWildcard,
  isPattern,
  literalName,
  plainPattern,
} from "../../pattern.ts";
import type { Admission, ChannelGrant, Grants } from "./access/admission.ts";

/** A connection may be on so many channels unless `limits.channels` says otherwise, each of so many bytes. */
export const USUAL_CHANNELS = 100;
export const MAX_CHANNEL_BYTES = 256;

/** Of patterns that each event's channel has to be gone through for, so many are a connection's own. */
const MOST_PATTERNS = 10;
export const MANY_PATTERNS = `At most ${MOST_PATTERNS} patterns may have something behind a wildcard.`;

export type Selected =
  | {
      readonly allowed: true;
      readonly selection: ChannelSelection;
      /** What was asked for and isn't open any more (`resumes`). */
      readonly lost: readonly string[];
    }
  | { readonly allowed: false; readonly status: 400 | 403; readonly code: string; readonly message: string };

/**
 * What a reader gets for the channels it `named`, in whichever spelling, by what it was granted: a name or a pattern is allowed where one
 * grant is the same or covers it. None named: all grants that are no patterns. A reader that `resumes` goes on with those
 * that are still open to it: one channel that was revoked while it was away ends no other.
 */
export function selectChannels(
  grants: Grants,
  named: readonly string[],
  { most = USUAL_CHANNELS, resumes = false } = {},
): Selected {
  const asked = named.map(plainPattern);
  const own = grants.channels.map(({ name }) => name).filter((name) => !isPattern(name));
  const wanted = asked.length > 0 ? asked : own.filter((name) => grantOf(grants, name) !== null);
  if (wanted.length === 0) {
    // Without a grant, naming one would help nobody.
    if (grants.channels.length === 0 || own.length > 0) return refused(403, "channel_not_allowed", NOT_OPEN);
    return refused(400, "channel_missing", "Name a channel: ?channel=…");
  }
  if (asked.length > most) {
    return refused(400, "too_many_channels", `At most ${most} channels may be named; a pattern may do.`);
  }
  if (asked.some((name) => Buffer.byteLength(name) > MAX_CHANNEL_BYTES)) {
    return refused(400, "channel_too_long", `A channel has at most ${MAX_CHANNEL_BYTES} bytes.`);
  }
  if (tooManyPatterns(grants, asked)) return refused(400, "too_many_patterns", MANY_PATTERNS);
  const open = wanted.filter((name) => grantOf(grants, name) !== null);
  if (open.length === 0 || (open.length < wanted.length && !resumes)) {
    return refused(403, "channel_not_allowed", NOT_OPEN);
  }
  const lost = wanted.filter((name) => !open.includes(name));
  return { allowed: true, selection: selectionOf(open), lost };
}

const NOT_OPEN = "One of the channels named isn't open to this reader.";

/**
 * Whether these, of one connection, would cost each event too much: patterns of its own with something behind a wildcard. What
 * is granted word for word is the same for many and costs them all once.
 */
export function tooManyPatterns({ channels }: Grants, names: Iterable<string>): boolean {
  let own = 0;
  for (const name of names) {
    if (!hasInnerWildcard(name) || channels.some((grant) => grant.name === name)) continue;
    if (++own > MOST_PATTERNS) return true;
  }
  return false;
}

/** The first grant that is, or covers, a name or a pattern that a reader asks for; null: it may not join. */
export function grantOf({ channels, denied }: Grants, asked: string): ChannelGrant | null {
  if (denied.length > 0 && denied.some(compilePattern(asked))) return null;
  return channels.find(({ name }) => covers(name, asked)) ?? null;
}

/** The grant by which a reader gets a channel's frames, or may publish; null: it doesn't. */
export function grantOfName(grants: Grants, channel: string): ChannelGrant | null {
  return grantOf(grants, escapePattern(channel));
}

/** Whether a reader may publish to a channel. */
export function mayPublish(
  { publish, denied }: Pick<Admission, "publish" | "denied">,
  channel: string,
): boolean {
  return !denied.includes(channel) && publish.some((pattern) => compilePattern(pattern)(channel));
}

/** What is left of a selection under other grants, and what isn't. */
export function narrow(
  { exact, patterns }: ChannelSelection,
  grants: Grants,
): { readonly kept: ChannelSelection; readonly lost: readonly string[] } {
  // As it is selected, a name is a literal: `*` in it is no wildcard.
  const named = (channel: string) => grantOfName(grants, channel) !== null;
  const covered = (pattern: string) => grantOf(grants, pattern) !== null;
  return {
    kept: { exact: exact.filter(named), patterns: patterns.filter(covered) },
    lost: [...exact.filter((name) => !named(name)), ...patterns.filter((name) => !covered(name))],
  };
}

export function selectionOf(wanted: readonly string[]): ChannelSelection {
  const exact = new Set<string>();
  const patterns = new Set<string>();
  for (const name of wanted) {
    const literal = literalName(name);
    if (literal === null) patterns.add(name);
    else exact.add(literal);
  }
  return { exact: [...exact].sort(), patterns: [...patterns].sort() };
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
