/**
 * The event that a replay into a stream appends: readers' places are seqs, so what they are to see again needs a new one.
 * It is matched by no route; the stream that it names hands out the event that it stands for, at the new seq.
 */
import { v7 as uuidv7 } from "uuid";
import { type Event, LEAT_SOURCE, type NewEvent, NO_HEADERS, REPLAY_TYPE, type Seq } from "../../event.ts";

export interface StreamReplay {
  readonly seq: Seq;
  readonly replay: number;
  /** The stream's routes that hand it out. */
  readonly routes: readonly string[];
}

export function replayEvent(stream: string, replayed: StreamReplay, now: number): NewEvent {
  return {
    source: LEAT_SOURCE,
    // Of its own: what was replayed may be replayed again.
    id: uuidv7(),
    type: REPLAY_TYPE,
    subject: stream,
    key: null,
    time: now,
    headers: NO_HEADERS,
    body: new TextEncoder().encode(JSON.stringify(replayed)),
    hops: 0,
    cause: replayed.seq,
  };
}

/** What an event says to be replayed into this stream; null: it is no such event. */
export function replayedBy(event: Event, stream: string): StreamReplay | null {
  if (event.source !== LEAT_SOURCE || event.type !== REPLAY_TYPE || event.subject !== stream) return null;
  return JSON.parse(new TextDecoder().decode(event.body)) as StreamReplay;
}
