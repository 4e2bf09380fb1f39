/**
 * An open-addressing hash table of 8 bytes a slot: which seq may have this (source, id)? It stands in for a unique
 * index, whose random pages made ingest 0.6 of its rate at 5 million events. It says *maybe*: the caller confirms
 * against the row, so that two ids of one hash drop nothing.
 *
 * A slot is the whole 32-bit hash (0 is empty) and the low 32 bits of the seq; the high bits follow from the newest seq,
 * an entry being forgotten long before 2^32 later events. Linear probing; removal shifts back, so there are no graves.
 */
import type { Seq } from "../../event.ts";

const LOW = 2 ** 32;

export class DedupeTable {
  size = 0;
  #slots: Uint32Array;
  #mask: number;
  readonly #seed: number;

  /** `seed` is any 32-bit number, different in each process, so that ids can't be chosen to collide. */
  constructor(seed: number, expected = 0) {
    this.#seed = seed | 0;
    let capacity = 1 << 12;
    while (capacity * 0.6 < expected) capacity *= 2;
    this.#slots = new Uint32Array(capacity * 2);
    this.#mask = capacity - 1;
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** Never 0. */
  hash(source: number, id: string): number {
    let hash = this.#seed ^ Math.imul(source, 0x9e3779b1);
    for (let i = 0; i < id.length; i++) {
      hash = Math.imul(hash ^ id.charCodeAt(i), 0x5bd1e995);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0 || 1;
  }

  /** The slot of the first entry with that hash, or -1. */
  first(hash: number): number {
    return this.#from(hash & this.#mask, hash);
  }

  /** The slot of the next entry with that hash behind `slot`, or -1. */
  next(slot: number, hash: number): number {
    return this.#from((slot + 1) & this.#mask, hash);
  }

  /** The seq in a slot, given the newest one in the journal. */
  seqAt(slot: number, newest: Seq): Seq {
    return newest - (((((newest % LOW) - this.#slots[slot * 2 + 1]!) % LOW) + LOW) % LOW);
  }

  add(hash: number, seq: Seq): void {
    if (this.size >= this.#mask * 0.7) this.#grow();
    this.#put(hash, seq % LOW);
    this.size++;
  }

  /** Removes the entry of that hash and seq; false when there is none. */
  remove(hash: number, seq: Seq): boolean {
    const low = seq % LOW;
    let slot = this.first(hash);
    while (slot !== -1 && this.#slots[slot * 2 + 1] !== low) slot = this.next(slot, hash);
    if (slot === -1) return false;
    this.#close(slot);
    this.size--;
    return true;
  }

  #from(start: number, hash: number): number {
    const slots = this.#slots;
    for (let slot = start; ; slot = (slot + 1) & this.#mask) {
      const found = slots[slot * 2]!;
      if (found === hash) return slot;
      if (found === 0) return -1;
    }
  }

  #put(hash: number, low: number): void {
    const slots = this.#slots;
    let slot = hash & this.#mask;
    while (slots[slot * 2] !== 0) slot = (slot + 1) & this.#mask;
    slots[slot * 2] = hash;
    slots[slot * 2 + 1] = low;
  }

  /** Empties a slot, moving back what probed past it (Knuth, 6.4 R). */
  #close(slot: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = slot;
    for (let at = (hole + 1) & mask; slots[at * 2] !== 0; at = (at + 1) & mask) {
      const home = slots[at * 2]! & mask;
      // It may move only if its home isn't between the hole and itself.
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole * 2] = slots[at * 2]!;
        slots[hole * 2 + 1] = slots[at * 2 + 1]!;
        hole = at;
      }
    }
    slots[hole * 2] = 0;
    slots[hole * 2 + 1] = 0;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    this.#mask = this.#slots.length / 2 - 1;
    for (let at = 0; at < old.length; at += 2) if (old[at] !== 0) this.#put(old[at]!, old[at + 1]!);
  }
}
