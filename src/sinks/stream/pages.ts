/**
 * Pages of history, written for the wire. After a restart all readers come back at once and at the same position: those
 * who ask for the same page while it is being read share it, and its bytes.
 */
import type { ChannelSelection, IndexedFrame, StreamFrame, StreamHistory } from "../../component.ts";
import type { Seq } from "../../event.ts";

/** The index ends a page earlier when its bodies reach a bound of bytes. */
const PAGE_FRAMES = 200;

export interface Page {
  readonly chunk: Buffer;
  readonly frames: number;
  readonly through: Seq;
  /** Above the position asked for: retention overtook the reader, and this page may have a hole before it. */
  readonly oldest: Seq;
}

export class Pages {
  readonly #history: StreamHistory;
  readonly #encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer;
  readonly #reading = new Map<string, Promise<Page>>();

  constructor(history: StreamHistory, encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer) {
    this.#history = history;
    this.#encode = encode;
  }

  read(after: Seq, selection: ChannelSelection): Promise<Page> {
    const key = JSON.stringify([after, selection.exact, selection.patterns]);
    let reading = this.#reading.get(key);
    if (!reading) {
      reading = this.#read(after, selection).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  async #read(after: Seq, selection: ChannelSelection): Promise<Page> {
    const { frames, through } = await this.#history.read(after, selection, PAGE_FRAMES);
    // Asked after the page: what retention removed while it was read is below this.
    const { oldest } = await this.#history.bounds();
    const chunks = groupsOf(frames).map(([seq, group]) => this.#encode(seq, group));
    return { chunk: Buffer.concat(chunks), frames: frames.length, through, oldest };
  }
}

function groupsOf(frames: readonly IndexedFrame[]): [Seq, IndexedFrame[]][] {
  const groups: [Seq, IndexedFrame[]][] = [];
  for (const frame of frames) {
    const last = groups.at(-1);
    if (last?.[0] === frame.seq) last[1].push(frame);
    else groups.push([frame.seq, [frame]]);
  }
  return groups;
}
