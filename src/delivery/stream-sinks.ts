/**
 * The sinks of one stream: the present one, and those that reloads have replaced, whose readers are yet to be sent away.
 * All are handed all that is published, so that no reader waits for an event that went to another's. What a new one wasn't
 * there for is in the index: it is told how far that goes.
 */
import { hearsOfLapses, type StreamFrame, type StreamSink, takesOver } from "../component.ts";
import type { Seq } from "../event.ts";

export class StreamSinks {
  readonly #sinks = new Set<StreamSink>();
  readonly #failed: (err: unknown, seq: Seq) => void;
  /** What was published, or lapsed, up to here was handed to those that were there. */
  #through: Seq = 0;

  /** `failed`: one of them couldn't publish, a defect. */
  constructor(failed: (err: unknown, seq: Seq) => void) {
    this.#failed = failed;
  }

  add(sink: StreamSink): void {
    if (this.#sinks.has(sink)) return;
    this.#sinks.add(sink);
    if (takesOver(sink)) sink.takeOver(this.#through);
  }

  /** It is stopped. */
  remove(sink: object): void {
    this.#sinks.delete(sink as StreamSink);
  }

  /** What was published before, by whomever, is all in the index up to `seq`. */
  begin(seq: Seq): void {
    this.#through = Math.max(this.#through, seq);
    for (const sink of this.#sinks) if (takesOver(sink)) sink.takeOver(this.#through);
  }

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    this.#through = Math.max(this.#through, seq);
    for (const sink of this.#sinks) {
      try {
        sink.publish(seq, frames);
      } catch (err) {
        // A reader who missed it finds it in the index; the event itself is no less delivered.
        this.#failed(err, seq);
      }
    }
  }

  lapse(through: Seq): void {
    this.#through = Math.max(this.#through, through);
    for (const sink of this.#sinks) if (hearsOfLapses(sink)) sink.lapse(through);
  }
}
