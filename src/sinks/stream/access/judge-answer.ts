/** What a judge's answer says. Pure. */
import { z } from "zod";
import type { Identity } from "./admission.ts";

/** So many names at most, each no longer than a channel may be. */
const names = z.array(z.string().min(1).max(256)).max(1000);

const answer = z.object({
  user: z.string().min(1).max(512).nullish(),
  claims: z.record(z.string(), z.unknown()).nullish(),
  /** Names and patterns, as `channels` has them; `\` makes a `*` literal. */
  channels: names.nullish(),
  publish: names.nullish(),
  /** Seconds, as of a token (RFC 6749, 5.1). */
  expires_in: z.number().min(0).max(1e9).nullish(),
});

/**
 * What was known by the token, and what the judge adds or changes; null where its answer is nothing that we can read: then
 * it has not said yes. An empty body is a yes that says no more. Nothing lengthens the token's own life.
 */
export function answeredIdentity(body: string, known: Identity, now: number): Identity | null {
  const parsed = answer.safeParse(body.trim() === "" ? {} : jsonOf(body));
  if (!parsed.success) return null;
  const { user, claims, channels, publish, expires_in: expiresIn } = parsed.data;
  const expires = [known.expiresAt, expiresIn == null ? null : now + expiresIn * 1000].filter(
    (at) => at !== null,
  );
  const own = user ?? known.user;
  return {
    user: own,
    // So that one template serves: who the judge says it is, is the subject.
    claims: claims ?? (user == null ? known.claims : { ...known.claims, sub: user }),
    expiresAt: expires.length === 0 ? null : Math.min(...expires),
    issuedAt: known.issuedAt,
    channels: channels ?? known.channels,
    publish: publish ?? known.publish,
  };
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** How long it lets us keep its answer (RFC 9111, 5.2.2), in ms; 0 where it doesn't say so. */
export function maxAgeMs(headers: Readonly<Record<string, string | string[] | undefined>>): number {
  const value = headers["cache-control"];
  const said = (Array.isArray(value) ? value.join(",") : (value ?? "")).toLowerCase();
  if (/\bno-(?:store|cache)\b/.test(said)) return 0;
  const seconds = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})"?/.exec(said)?.[1];
  return seconds === undefined ? 0 : Number(seconds) * 1000;
}
