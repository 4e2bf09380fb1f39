/**
 * The one reconnect loop: every client of a broker lives in it, a source's and a sink's alike.
 *
 *   live() ──► up() ──► … ──► over ──► waiting ──► live() ──► …
 *
 * What can heal in a moment (a restart, a cut) is tried again soon: 250 ms, doubling to 5 s, which is how long a broker
 * that is back may wait for us. What needs a person (a password, a queue that isn't there) is `calm`: 5 s, doubling to
 * 60 s, so that Leat floods nobody's logs. Each begins anew where the failure before was of the other kind (a broker that
 * has just come back may say for a moment that a queue isn't there), and both once a life was up for longer than the
 * wait before it, and for a second. Waits are spread, so that many clients don't come back at once.
 */
import type { Standing } from "../component.ts";
import type { Chance, Clock, Logger } from "../ports.ts";
import { pause } from "./wait.ts";

export interface BrokerErrorOptions {
  /** Only a person can mend it: try at a calm pace. */
  readonly calm?: boolean;
  readonly cause?: unknown;
}

/** Why a life ended, for people: a word and what to do. Neither holds a secret. */
export class BrokerError extends Error {
  /** Lower snake case: `connection_refused`, `auth`, `unknown_topic`, … */
  readonly error: string;
  readonly calm: boolean;

  constructor(error: string, message: string, { calm = false, cause }: BrokerErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "BrokerError";
    this.error = error;
    this.calm = calm;
  }
}

export interface SuperviseTools {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly log: Logger;
  stands(standing: Standing): void;
}

export interface Supervised {
  /** Ends the life and begins none any more; resolves when it is over. May be called again. */
  stop(): Promise<void>;
}

/**
 * One life of a connection. Calls `up` once it works; resolves or rejects when it is over, with a BrokerError where it
 * knows why. `signal` is of this life: it aborts when it is to end, and also once it is over, for what it left behind.
 */
export type Live = (up: () => void, signal: AbortSignal) => Promise<void>;

const SOON = { firstMs: 250, mostMs: 5_000 };
const CALM = { firstMs: 5_000, mostMs: 60_000 };
/** A life that was up for less proves nothing. */
const STEADY_MS = 1_000;

export function supervise(tools: SuperviseTools, live: Live): Supervised {
  const { clock, chance, log, stands } = tools;
  const stopping = new AbortController();
  /** In a row, of one kind. */
  let failures = 0;
  let calm = false;
  let waitedMs = 0;

  /** Resolves with why it is over; never rejects. */
  async function liveOnce(): Promise<BrokerError> {
    const life = new AbortController();
    const end = () => life.abort();
    stopping.signal.addEventListener("abort", end);
    let upSince: number | null = null;
    try {
      await live(() => {
        if (life.signal.aborted || upSince !== null) return;
        upSince = clock.monotonic();
        stands({ state: "connected" });
      }, life.signal);
      return new BrokerError("closed", "the connection was closed");
    } catch (cause) {
      if (cause instanceof BrokerError) return cause;
      if (!stopping.signal.aborted)
        log.error({ err: cause }, "a broker's client failed in a way not foreseen");
      return new BrokerError("unexpected", "the client failed in a way not foreseen: the log says more", {
        cause,
      });
    } finally {
      stopping.signal.removeEventListener("abort", end);
      end();
      if (upSince !== null && clock.monotonic() - upSince >= Math.max(STEADY_MS, waitedMs)) failures = 0;
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const why = await liveOnce();
      if (stopping.signal.aborted) return;
      stands({ state: "waiting", error: why.error, message: why.message });
      if (why.calm !== calm) failures = 0;
      calm = why.calm;
      waitedMs = waitAfter(failures, calm, chance.random());
      failures++;
      log.debug({ error: why.error, ms: Math.round(waitedMs) }, "will try to connect again");
      await pause(clock, waitedMs, stopping.signal);
    }
  }

  const ended = run();
  return {
    stop() {
      stopping.abort();
      return ended;
    },
  };
}

/** @param failures in a row before this one. @param random in [0, 1): the wait is between half of it and the whole. */
export function waitAfter(failures: number, calm: boolean, random: number): number {
  const { firstMs, mostMs } = calm ? CALM : SOON;
  const most = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 30));
  return most * (0.5 + random / 2);
}
