/** What is written to a stream and read of it, on its way between two threads: bodies one behind the other in a buffer. */
import type { IndexedFrame, StreamFrame } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { PackedPage } from "./stream-reads.ts";
import type { PackedFrame, PackedWrite } from "./stream-rows.ts";

export interface Frames {
  readonly stream: string;
  readonly seq: Seq;
  readonly frames: readonly StreamFrame[];
}

/** As `PackedWrite`, unpacked. */
export type Entry = Frames | Exclude<PackedWrite, { frames: unknown }>;

/** Bodies are often slices of larger buffers, which a message between threads would copy whole. */
export function pack(entries: readonly Entry[]): { entries: PackedWrite[]; bytes: Uint8Array } {
  const bytes = new Uint8Array(sizeOf(entries));
  let offset = 0;
  const frame = ({ channel, type, id, time, body }: StreamFrame): PackedFrame => {
    bytes.set(body, offset);
    offset += body.byteLength;
    return { channel, type, id, time, offset: offset - body.byteLength, length: body.byteLength };
  };
  const packed = entries.map((entry) =>
    "move" in entry ? entry : { ...entry, frames: entry.frames.map(frame) },
  );
  return { entries: packed, bytes };
}

export function sizeOf(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) {
    if (!("move" in entry)) for (const { body } of entry.frames) size += body.byteLength;
  }
  return size;
}

export function unpack({ frames, bytes, through }: PackedPage): { frames: IndexedFrame[]; through: Seq } {
  return {
    frames: frames.map(({ offset, length, ...frame }) => ({
      ...frame,
      body: bytes.subarray(offset, offset + length),
    })),
    through,
  };
}
