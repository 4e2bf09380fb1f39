/**
 * How fast a process works off what waits at its broker: watched from outside while it does, from the moment when a fifth
 * is done (the process has joined, and its code is warm) to the last.
 */
import type { Server } from "./process.ts";

const WATCH_MS = 25;
const MOST_MS = 120_000;

export interface TakeUp {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

/** `done`: how many it has done so far. `total`: how many there are. Rejects when it doesn't end in 2 min. */
export async function takeUp(server: Server, done: () => Promise<number>, total: number): Promise<TakeUp> {
  const deadline = performance.now() + MOST_MS;
  let first: { at: number; count: number; cpu: number } | null = null;
  while (performance.now() < deadline) {
    const count = await done();
    const at = performance.now();
    if (first === null && count >= total / 5) first = { at, count, cpu: server.cpuSeconds() };
    if (first !== null && count >= total) {
      const messages = count - first.count;
      return {
        perSecond: messages / ((at - first.at) / 1000),
        cpuMicros: ((server.cpuSeconds() - first.cpu) / messages) * 1e6,
      };
    }
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  }
  throw new Error(`${server.url} has done ${await done()} of ${total} in ${MOST_MS / 1000} s`);
}
