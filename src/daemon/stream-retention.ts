/** Keeps the streams' index to what their `history` says; the index is a projection, so retention is not the journal's. */
import type { StreamIndex } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";
import { type Assembly, historyOf } from "./assembly.ts";

const EVERY_MS = 60_000;

/** Trims once a minute until it is told to stop. */
export function retainStreams(
  current: () => Assembly | null,
  index: StreamIndex,
  clock: Clock,
  log: Logger,
): () => void {
  let cancel = () => {};
  let stopped = false;
  const trim = async () => {
    for (const sink of current()?.sinks.values() ?? []) {
      if (sink.kind !== "stream") continue;
      const olderThan = clock.wall() - historyOf(sink);
      await index.retain(sink.plan.name, olderThan).catch((err: unknown) => {
        log.warn({ err, sink: sink.plan.name }, "a stream's history could not be trimmed");
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
