/**
 * What a sink's report means for a delivery: delivered, to be tried again and when, or dead and why.
 */
import type { Report } from "../component.ts";
import type { RetryPolicy } from "../plan.ts";
import type { Chance } from "../ports.ts";

export type Verdict =
  | { readonly outcome: "delivered" }
  | { readonly outcome: "retry"; readonly delayMs: number }
  | { readonly outcome: "dead"; readonly error: string; readonly message: string };

/** The circumstances of one attempt. */
export interface Circumstances {
  readonly policy: RetryPolicy;
  /** The event has a key whose order is kept: others wait behind it, so other defaults hold. */
  readonly keyed: boolean;
  /** 1 for the first. */
  readonly attempt: number;
  /** Milliseconds since the first attempt began. */
  readonly ageMs: number;
}

const DELIVERED: Verdict = { outcome: "delivered" };
const GONE = 410;

export function judge(report: Report, at: Circumstances, chance: Chance): Verdict {
  if (report.result === "delivered") return DELIVERED;
  if (report.result === "rejected") return { outcome: "dead", error: report.error, message: report.message };

  const { policy, attempt } = at;
  const { status } = report;
  if (report.gone || status === GONE) return { outcome: "dead", error: "gone", message: report.message };
  if (status !== undefined && (at.keyed ? policy.deadOn.keyed : policy.deadOn.unkeyed).includes(status)) {
    return { outcome: "dead", error: "dead_on", message: report.message };
  }
  const wait = waitAfter(policy, attempt);
  if (wait === null || (policy.maxAttempts !== null && attempt >= policy.maxAttempts)) {
    return {
      outcome: "dead",
      error: "max_attempts",
      message: `attempt ${attempt} was the last: ${report.message}`,
    };
  }
  if (at.ageMs >= (at.keyed ? policy.maxAgeMs.keyed : policy.maxAgeMs.unkeyed)) {
    return {
      outcome: "dead",
      error: "max_age",
      message: `too old after attempt ${attempt}: ${report.message}`,
    };
  }
  return { outcome: "retry", delayMs: delay(policy, wait, report.retryAfterMs ?? 0, chance) };
}

/** The unspread wait after the nth attempt; null when the schedule has no more. */
export function waitAfter(policy: RetryPolicy, attempt: number): number | null {
  if (policy.scheduleMs !== null) return policy.scheduleMs[attempt - 1] ?? null;
  // factor^n overflows to Infinity after some hundred attempts, and then max_wait is the smaller one as well.
  return Math.min(policy.initialMs * policy.factor ** (attempt - 1), policy.maxWaitMs);
}

/** How long a receiver may make us wait: what it asked, capped by `max_wait`. */
export function grantedWait(policy: RetryPolicy, retryAfterMs: number): number {
  return Math.min(Math.max(retryAfterMs, 0), policy.maxWaitMs);
}

/**
 * Spreads the wait, so that what failed together doesn't come back together, and never comes earlier than asked. Behind
 * a Retry-After the spread goes upwards only.
 */
function delay(policy: RetryPolicy, wait: number, retryAfterMs: number, chance: Chance): number {
  const draw = chance.random();
  const spread = wait * (1 + policy.jitter * (2 * draw - 1));
  const asked = grantedWait(policy, retryAfterMs);
  if (asked === 0) return Math.round(Math.min(spread, policy.maxWaitMs));
  const upwards = asked + Math.min(asked, wait) * policy.jitter * draw;
  return Math.round(Math.max(asked, Math.min(Math.max(spread, upwards), policy.maxWaitMs)));
}
