/** What streams count, as metrics: how much their readers were given, and what became of those that couldn't keep up. */
import type { Counter } from "prom-client";
import type { StreamTally } from "../daemon/face.ts";

const HELP: Readonly<Record<keyof StreamTally, readonly [name: string, help: string]>> = {
  frames: ["stream_messages_total", "Messages handed to readers, once for each reader."],
  bytes: ["stream_bytes_total", "Bytes handed to readers."],
  gaps: ["stream_gaps_total", "Readers told that part of what they missed is gone."],
  stalled: ["stream_stalled_total", "Times a slow reader was fed from the stream's index."],
  dropped: [
    "stream_dropped_total",
    "Messages that slow readers missed by their channel's policy, and were told of.",
  ],
  closed: ["stream_closed_total", "Readers closed because they took too long."],
  refused: ["stream_refused_total", "Readers asked to come back later."],
  ephemeral: [
    "stream_ephemeral_total",
    "Messages that clients published to those who were there, and that are kept nowhere.",
  ],
};

export interface StreamCounters {
  reset(): void;
  set(sink: string, tally: StreamTally): void;
}

/** `counter` makes one whose only label is the sink. */
export function createStreamCounters(counter: (name: string, help: string) => Counter): StreamCounters {
  const counters = Object.entries(HELP).map(([field, [name, help]]) => ({
    field: field as keyof StreamTally,
    metric: counter(name, help),
  }));
  return {
    reset() {
      for (const { metric } of counters) metric.reset();
    },
    set(sink, tally) {
      for (const { field, metric } of counters) metric.inc({ sink }, tally[field]);
    },
  };
}
