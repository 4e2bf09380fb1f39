/**
 * Ports: what the core takes from the outside world, so that a seeded simulation can stand in for it.
 * Storage has a port of its own in `journal/sqlite/storage.ts`.
 */

/** Time. Timers and waits run on `monotonic`; only what people read, and what is stored, uses `wall`. */
export interface Clock {
  /** Milliseconds since 1970, UTC. May step in either direction. */
  wall(): number;
  /** Milliseconds from an arbitrary start. Never goes back. */
  monotonic(): number;
  /** Calls `callback` once after `ms` (at most 2^31-1) of monotonic time; the result cancels it. Never keeps the process alive. */
  after(ms: number, callback: () => void): () => void;
}

/**
 * What comes later than it was due by this much, in ms, says that the whole process stood still (a paused container, a
 * suspended machine): all its timers are late at once then, and what they wait for may be there, only not read yet.
 */
export const STOOD_STILL_MS = 1_000;

/** Randomness: jitter, sampling. Not for secrets or ids. */
export interface Chance {
  /** A number in [0, 1). */
  random(): number;
}

/** A logger as pino has it: an object of fields first, a fixed message second. */
export interface Logger {
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.max(0, Math.min(ms, 2 ** 31 - 1)));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

export const systemChance: Chance = { random: () => Math.random() };
