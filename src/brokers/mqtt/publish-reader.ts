/**
 * Reads plain PUBLISH packets, which nearly all are, off the broker's bytes itself. Everything else goes to the library as
 * it came, in its place. The library would make a dozen calls, an event and a turn of the queue of each packet, which is
 * most of what a message costs where they come by the ten thousand.
 *
 * One packet at a time: the next is looked at when the one before is dealt with, as the library does it too. Until then
 * nothing more is read, and TCP makes the broker wait.
 */
import { Writable } from "node:stream";
import type { IPublishPacket } from "mqtt";
import { mayBePlain, PlainPublishParser, packetBytes } from "./plain-publish.ts";

/** Called once for each packet; `next` when it is dealt with, maybe before this returns. Nothing acknowledges it. */
export type OnPublish = (packet: IPublishPacket, next: () => void) => void;

/** A packet that comes in pieces is put together up to this size; a larger one is the library's. */
const MOST_BYTES = 1024 * 1024;

export class PublishReader extends Writable {
  readonly #library: NodeJS.WritableStream;
  readonly #parser: PlainPublishParser;
  readonly #onPublish: OnPublish;
  /** What is being read, and from where on. */
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #done: () => void = () => {};
  /** The beginning of a packet, less than tells its length. */
  #head: Buffer | null = null;
  /** A packet that may be plain, of which `filled` bytes have come. */
  #partial: { readonly bytes: Buffer; filled: number } | null = null;
  /** So many bytes, from here on, are of packets that are the library's. */
  #theirs = 0;
  #handing = false;
  #wentOn = false;

  constructor(library: NodeJS.WritableStream, version: 5 | "3.1.1", onPublish: OnPublish) {
    super();
    this.#library = library;
    this.#parser = new PlainPublishParser(version);
    this.#onPublish = onPublish;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#bytes = this.#head === null ? chunk : Buffer.concat([this.#head, chunk]);
    this.#head = null;
    this.#at = 0;
    this.#done = done;
    this.#read();
  }

  override _final(done: () => void): void {
    this.#library.end();
    done();
  }

  /** Goes on until nothing is left; or until it has to wait, and is called again. */
  #read(): void {
    while (this.#at < this.#bytes.length) if (!this.#step()) return;
    this.#done();
  }

  /** False: it has to wait. */
  #step(): boolean {
    if (this.#theirs > 0) return this.#giveTheirs();
    return this.#partial === null ? this.#next() : this.#fill(this.#partial);
  }

  #next(): boolean {
    const [bytes, start] = [this.#bytes, this.#at];
    const length = packetBytes(bytes, start);
    if (length === null) {
      this.#head = Buffer.from(bytes.subarray(start));
      this.#at = bytes.length;
      return true;
    }
    const end = start + length;
    if (end > bytes.length) {
      if (mayBePlain(bytes[start] as number) && length <= MOST_BYTES) {
        this.#partial = { bytes: Buffer.allocUnsafe(length), filled: 0 };
      } else this.#theirs = length;
      return true;
    }
    const packet = this.#parser.parse(bytes, start, end);
    if (packet === null) {
      this.#theirs = this.#endOfTheirs(end) - start;
      return true;
    }
    this.#at = end;
    return this.#hand(packet);
  }

  /** Past the whole packets behind `end` that are the library's too: it takes them at once. */
  #endOfTheirs(end: number): number {
    const bytes = this.#bytes;
    for (let at = end; ; ) {
      const next = at + (packetBytes(bytes, at) ?? Number.POSITIVE_INFINITY);
      if (next > bytes.length || this.#parser.parse(bytes, at, next) !== null) return at;
      at = next;
    }
  }

  #fill(partial: { readonly bytes: Buffer; filled: number }): boolean {
    const copied = this.#bytes.copy(partial.bytes, partial.filled, this.#at);
    this.#at += copied;
    partial.filled += copied;
    const { bytes, filled } = partial;
    if (filled < bytes.length) return true;
    this.#partial = null;
    const packet = this.#parser.parse(bytes, 0, bytes.length);
    return packet === null ? this.#give(bytes) : this.#hand(packet);
  }

  #giveTheirs(): boolean {
    const end = Math.min(this.#bytes.length, this.#at + this.#theirs);
    const piece = this.#bytes.subarray(this.#at, end);
    this.#theirs -= piece.length;
    this.#at = end;
    return this.#give(piece);
  }

  #give(bytes: Buffer): false {
    this.#library.write(bytes, this.#goOn);
    return false;
  }

  /** Whether it was dealt with at once. */
  #hand(packet: IPublishPacket): boolean {
    this.#handing = true;
    this.#wentOn = false;
    this.#onPublish(packet, this.#goOn);
    this.#handing = false;
    return this.#wentOn;
  }

  readonly #goOn = (): void => {
    if (this.#handing) this.#wentOn = true;
    else this.#read();
  };
}
