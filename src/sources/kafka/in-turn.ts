/**
 * Keeps one partition's records in order while the journal takes no more: without it a small record could be appended
 * while the larger one before it still waits to be tried again.
 */
import type { Appended, Arrival } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { TakerHost } from "../take.ts";

/** Appends an arrival only once those before it, which the journal put off, are on their way again. */
export function inTurn(host: TakerHost): TakerHost {
  const order = new Map<Arrival, number>();
  let count = 0;
  /** Those that were put off and are not on their way, first come first. */
  let waiting: Arrival[] = [];

  function putOff(arrival: Arrival): void {
    if (waiting.includes(arrival)) return;
    if (!order.has(arrival)) order.set(arrival, count++);
    waiting.push(arrival);
    waiting.sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  }

  async function append(arrival: Arrival): Promise<Appended> {
    if (waiting.length > 0 && waiting[0] !== arrival) {
      putOff(arrival);
      throw new LeatError("unavailable", "journal_busy", "Others of its partition come first.");
    }
    if (waiting.length > 0) waiting = waiting.slice(1);
    try {
      return await host.append(arrival);
    } catch (error) {
      if (error instanceof LeatError && error.kind === "unavailable") putOff(arrival);
      throw error;
    }
  }

  return {
    name: host.name,
    clock: host.clock,
    get maxEventBytes() {
      return host.maxEventBytes;
    },
    append,
    keepRefused: (refusal) => host.keepRefused(refusal),
    stands: (standing) => host.stands(standing),
  };
}
