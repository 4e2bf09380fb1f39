/**
 * How a source of a broker takes what it can't refuse: nobody there hears a no, so an arrival is appended, or kept as
 * refused, or waited with, and only when it is on disk in one of these ways may the broker be told yes (J1, J2).
 */
import { pause, whenAborted } from "../brokers/wait.ts";
import type { Appended, Arrival, NewRefusal, SourceHost } from "../component.ts";
import { LeatError } from "../errors.ts";
import { inTurn } from "./in-turn.ts";

export interface TakeOptions {
  /** What is over a limit: kept as refused and gone past, or the source stands still until a person acts. */
  readonly oversize: "refuse" | "hold";
  /** Ends waiting. What is being appended is appended all the same. */
  readonly signal: AbortSignal;
  /** Told of each arrival that `oversize: hold` holds, maybe before its `Take` returns. That one stays pending. */
  held?(): void;
}

/**
 * Takes one arrival; `position` says for people which one it was at the broker. `cutFrom` says of one that came cut off
 * how many bytes all of it has: that is over a limit, whatever the limit has become since. Resolves once it is on disk:
 * with `Appended`, or with null where it was kept as refused. Rejects when `signal` aborts while it waits, and with
 * `storage`.
 */
export type Take = (
  arrival: Arrival,
  position: Position,
  cutFrom?: number | null,
) => Promise<Appended | null>;

/** Asked of what isn't taken at once only: to word it for each would cost as much as to take some. */
export type Position = () => string;

/** Kept of a body that was refused. */
const REFUSED_BYTES = 1024;
/** Between tries while the journal says `unavailable`, in ms. */
const LEAST_WAIT_MS = 100;
const MOST_WAIT_MS = 2_000;

/** What it asks of the host. */
export type TakerHost = Pick<
  SourceHost,
  "name" | "clock" | "maxEventBytes" | "identify" | "append" | "keepRefused" | "stands"
>;

/** What one taker takes is appended in the order in which it came. */
export function createTaker(host: TakerHost, { oversize, signal, held }: TakeOptions): Take {
  const line = inTurn(host);

  /** The way of nearly all: one promise behind the append's own, for this is done for each record of a fetch. */
  function take(arrival: Arrival, position: Position, cutFrom: number | null): Promise<Appended | null> {
    const { byteLength } = arrival.body;
    if (cutFrom !== null) {
      const detail = `all of it is ${cutFrom} bytes, more than could be when it came`;
      return overLimit(arrival, position, "too_large", detail);
    }
    if (byteLength > host.maxEventBytes) {
      const detail = `its body is ${byteLength} bytes, and ${host.maxEventBytes} may be`;
      return overLimit(arrival, position, "too_large", detail);
    }
    return line.append(arrival).catch((error: unknown) => again(error, arrival, position));
  }

  /** What wasn't taken at the first try. */
  async function again(error: unknown, arrival: Arrival, position: Position): Promise<Appended | null> {
    try {
      return await patiently(
        error,
        () => line.append(arrival),
        () => line.putOff(arrival),
      );
    } catch (last) {
      if (!(last instanceof LeatError) || last.kind !== "refused") throw last;
      return overLimit(arrival, position, last.code, last.message);
    }
  }

  async function overLimit(
    arrival: Arrival,
    position: Position,
    reason: string,
    detail: string,
  ): Promise<Appended | null> {
    if (oversize === "hold") {
      const message = `${position()} is over a limit (${detail}) and oversize is hold: raise the limit and reload, take it away, or write oversize: refuse`;
      host.stands({ state: "waiting", error: "oversize", message });
      held?.();
      await whenAborted(signal);
      throw signal.reason;
    }
    const refusal = refusalOf(host.name, arrival, position(), reason, detail);
    const keep = () => host.keepRefused(refusal);
    await keep().catch((error: unknown) => patiently(error, keep));
    return null;
  }

  /**
   * Tries until the journal takes it, after a first try that ended with `failure`. The same arrival has the same id each
   * time, so a slow yes becomes no second event.
   */
  async function patiently<T>(
    failure: unknown,
    attempt: () => Promise<T>,
    putOff: () => void = () => {},
  ): Promise<T> {
    for (let error = failure; ; ) {
      if (!(error instanceof LeatError) || error.kind !== "unavailable") throw error;
      putOff();
      const waitMs = error.retryAfterMs ?? LEAST_WAIT_MS;
      await pause(host.clock, Math.min(MOST_WAIT_MS, Math.max(LEAST_WAIT_MS, waitMs)), signal);
      signal.throwIfAborted();
      try {
        return await attempt();
      } catch (next) {
        error = next;
      }
    }
  }

  return (arrival, position, cutFrom = null) => take(arrival, position, cutFrom);
}

function refusalOf(
  source: string,
  { key, headers, body }: Arrival,
  address: string,
  reason: string,
  detail: string,
): NewRefusal {
  // A copy: the rest of a body that is too large shouldn't stay in memory for it.
  const first = body.byteLength === 0 ? null : Uint8Array.from(body.subarray(0, REFUSED_BYTES));
  return { source, reason, address, detail, body: first, key, headers };
}
