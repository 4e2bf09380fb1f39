/** Keeps the streams' index to what their `history` says; the index is a projection, so retention is not the journal's. */
import type { Journal } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";
import { type Assembly, historyOf } from "./assembly.ts";

const EVERY_MS = 60_000;

/** What a stream keeps that has left the plan: put back before that, by whom a reload went wrong, it has lost nothing. */
const LEFT_MS = 24 * 60 * 60 * 1000;

/** Trims once a minute until it is told to stop. */
export function retainStreams(
  current: () => Assembly | null,
  { streams, ledger }: Pick<Journal, "streams" | "ledger">,
  clock: Clock,
  log: Logger,
): () => void {
  let cancel = () => {};
  let stopped = false;
  const trim = async () => {
    const assembly = current();
    for (const name of assembly === null ? [] : [...streams.places().keys()]) {
      const sink = assembly?.sinks.get(name);
      const planned = sink?.kind === "stream";
      if (!planned && ledger.subscription(name)?.active === true) continue;
      const olderThan = clock.wall() - (planned ? historyOf(sink) : LEFT_MS);
      await streams.retain(name, olderThan).catch((err: unknown) => {
        log.warn({ err, sink: name }, "a stream's history could not be trimmed");
      });
    }
    if (!stopped) cancel = clock.after(EVERY_MS, () => void trim());
  };
  cancel = clock.after(EVERY_MS, () => void trim());
  return () => {
    stopped = true;
    cancel();
  };
}
