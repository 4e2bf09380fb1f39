/**
 * The breaker of a sink, as pure functions.
 *
 * closed ──(policy.failures signs of trouble in a row)──► open ──(waitMs passes)──► one event probes
 *   ▲                                                      ▲                            │
 *   └────────────(any sign of life)────────────────────────┼──── life ◄─────────────────┤
 *                                                          └──── trouble: waitMs × 2 ◄──┘  up to policy.maxMs
 *
 * What was under way when it opened changes nothing by failing too. When the wait is over is the gate's to know.
 */
import type { Report } from "../component.ts";
import type { BreakerPolicy } from "../plan.ts";

/** `waitMs` is null while it is closed. */
export interface Breaker {
  readonly failures: number;
  readonly waitMs: number | null;
}

export const CLOSED: Breaker = { failures: 0, waitMs: null };

/**
 * Whether an attempt shows the receiver alive or in trouble; null when it shows nothing, nothing having been sent.
 * An answer below 500 is a sign of life, even a refusal, except 429.
 */
export function signOf(report: Report): "life" | "trouble" | null {
  if (report.result === "delivered") return "life";
  if (report.result === "rejected") return null;
  const { status } = report;
  return status !== undefined && status < 500 && status !== 429 ? "life" : "trouble";
}

export function breakerAfter(
  breaker: Breaker,
  sign: "life" | "trouble",
  probe: boolean,
  policy: BreakerPolicy,
): Breaker {
  if (sign === "life") return breaker.failures === 0 ? breaker : CLOSED;
  if (breaker.waitMs !== null) {
    if (!probe) return breaker;
    return { failures: breaker.failures + 1, waitMs: Math.min(breaker.waitMs * 2, policy.maxMs) };
  }
  const failures = breaker.failures + 1;
  return { failures, waitMs: failures >= policy.failures ? policy.probeMs : null };
}
