/** What a stream counts; the daemon makes metrics of it. */
export interface StreamMetrics {
  /** Connected now. */
  readonly readers: number;
  /** Since the start: frames and bytes handed to readers, once for each reader. */
  readonly frames: number;
  readonly bytes: number;
  /** Readers told that what they asked for isn't there any more. */
  readonly gaps: number;
  /** Times a reader couldn't keep up and was fed from the index. */
  readonly stalled: number;
  /** Frames that a slow reader missed by its channel's policy, and was told of. */
  readonly dropped: number;
  /** Readers closed because they took too long. */
  readonly closed: number;
  /** Readers asked to come back later. */
  readonly refused: number;
  /** Messages that were handed to those who were there, and kept nowhere. */
  readonly ephemeral: number;
  /** Now: who is on channels with presence, by user and channel. */
  readonly members: number;
}

/** Counts of one stream, moved by its readers. */
export type StreamCounters = { -readonly [K in keyof StreamMetrics]: number };

export function newCounters(): StreamCounters {
  return {
    readers: 0,
    frames: 0,
    bytes: 0,
    gaps: 0,
    stalled: 0,
    dropped: 0,
    closed: 0,
    refused: 0,
    ephemeral: 0,
    members: 0,
  };
}

/** A stream that says how it is doing. */
export interface HasStreamMetrics {
  metrics(): StreamMetrics;
}

export function hasStreamMetrics(component: object): component is HasStreamMetrics {
  return "metrics" in component && typeof component.metrics === "function";
}
