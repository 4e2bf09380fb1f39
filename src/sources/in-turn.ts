/**
 * Keeps what comes in order (of one partition, queue or session) in order. Without it an arrival would be appended while
 * the one before it still waits for its name, where an expression has to be evaluated, or waits to be tried again, where
 * the journal took no more.
 */
import type { Appended, Arrival, SourceHost } from "../component.ts";
import { LeatError } from "../errors.ts";

export interface Line {
  /** As the host's, once those before it are on their way. */
  append(arrival: Arrival): Promise<Appended>;
  /** To be told of each that `append` has said `unavailable` of, before it is appended again. */
  putOff(arrival: Arrival): void;
}

export function inTurn(host: Pick<SourceHost, "append" | "identify">): Line {
  /** Weak: what has been appended is nobody's any more, and its body may be a view on a whole fetch. */
  const order = new WeakMap<Arrival, number>();
  let count = 0;
  /** Those that were put off and are not on their way, first come first. */
  let waiting: Arrival[] = [];
  /** Until the last one that came is on its way; null: it is. */
  let line: Promise<void> | null = null;

  function hand(arrival: Arrival): Promise<Appended> {
    if (waiting.length > 0 && waiting[0] !== arrival) {
      return Promise.reject(new LeatError("unavailable", "journal_busy", "Others come first."));
    }
    if (waiting.length > 0) waiting = waiting.slice(1);
    return host.append(arrival);
  }

  return {
    append(arrival) {
      // All begin at once to be named, and go on in order.
      const naming = order.has(arrival) ? undefined : host.identify(arrival);
      if (line === null && naming === undefined) return hand(arrival);
      const { promise, resolve, reject } = Promise.withResolvers<Appended>();
      const mine = Promise.allSettled([line, naming]).then(([, named]) => {
        if (line === mine) line = null;
        if (named.status === "rejected") reject(named.reason);
        else hand(arrival).then(resolve, reject);
      });
      line = mine;
      return promise;
    },
    putOff(arrival) {
      if (waiting.includes(arrival)) return;
      if (!order.has(arrival)) order.set(arrival, count++);
      waiting.push(arrival);
      waiting.sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
    },
  };
}
