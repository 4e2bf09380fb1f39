/**
 * Memory that packed events lie in until nobody wants them any more. Both threads see it, so that a group goes to the
 * writer without a copy; and it is used again, so that a steady load allocates nothing. Memory of its own for each group
 * would make V8 collect the whole heap several times a second: it counts such memory, and the ring keeps it for too long
 * to die young.
 *
 * Slabs are filled from their beginning to their end, one group behind the other, and are free again once every group
 * in them has been released. Groups are released in nearly the order in which they came, as the ring sheds them.
 */

/** Where one group's bytes lie. Starts at a multiple of 8, as its numbers want it. */
export interface Room {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  readonly start: number;
  /** First byte behind it. */
  readonly end: number;
  /** No more than `used` bytes will be wanted. */
  close(used: number): void;
  /** Nobody reads it any more: the memory becomes another's. */
  release(): void;
}

export interface Memory {
  /** Room for `bytes` at least, beginning with the first `used` bytes of `old`, which is released. */
  grow(old: Room | null, used: number, bytes: number): Room;
}

const SLAB_BYTES = 1024 * 1024;

interface Slab {
  readonly buffer: SharedArrayBuffer;
  regions: number;
}

export class Arena implements Memory {
  readonly #slabBytes: number;
  #free: Slab[] = [];
  #slab: Slab;
  /** Where the next group begins in the present slab. */
  #tail = 0;
  /** The group that is being packed: it has the slab's whole rest until it is closed. */
  #open: Region | null = null;

  constructor(slabBytes = SLAB_BYTES) {
    this.#slabBytes = slabBytes;
    this.#slab = this.#newSlab();
  }

  grow(old: Room | null, used: number, bytes: number): Room {
    // What is too large for a slab, or grows when another has begun behind it, gets memory of its own.
    if (bytes > this.#slabBytes || this.#open !== old) return ownMemory.grow(old, used, bytes);
    if (old !== null || bytes > this.#slabBytes - this.#tail) this.#nextSlab();
    const room = new Region(this.#slab, this.#tail, this.#slabBytes, this);
    this.#slab.regions++;
    this.#open = room;
    move(old, used, room);
    return room;
  }

  /** The rest of the slab, from `end` on, is the next group's. */
  closed(region: Region, end: number): void {
    if (this.#open !== region) return;
    this.#open = null;
    this.#tail = Math.ceil(end / 8) * 8;
  }

  released(slab: Slab): void {
    slab.regions--;
    if (slab.regions === 0 && slab !== this.#slab) this.#free.push(slab);
  }

  #nextSlab(): void {
    const full = this.#slab;
    this.#slab = this.#free.pop() ?? this.#newSlab();
    this.#tail = 0;
    if (full.regions === 0) this.#free.push(full);
  }

  #newSlab(): Slab {
    return { buffer: new SharedArrayBuffer(this.#slabBytes), regions: 0 };
  }
}

class Region implements Room {
  end: number;
  readonly start: number;
  readonly #slab: Slab;
  readonly #arena: Arena;
  #released = false;

  constructor(slab: Slab, start: number, end: number, arena: Arena) {
    this.#slab = slab;
    this.#arena = arena;
    this.start = start;
    this.end = end;
  }

  get buffer(): SharedArrayBuffer {
    return this.#slab.buffer;
  }

  close(used: number): void {
    this.end = this.start + used;
    this.#arena.closed(this, this.end);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#arena.closed(this, this.start);
    this.#arena.released(this.#slab);
  }
}

/** Memory that is a group's own, for the garbage collector to free: as much as is needed at first, then twice as much. */
export const ownMemory: Memory = {
  grow(old, used, bytes) {
    const size = Math.max(bytes, used * 2);
    const room: Room = { buffer: new ArrayBuffer(size), start: 0, end: size, close() {}, release() {} };
    move(old, used, room);
    return room;
  },
};

function move(old: Room | null, used: number, to: Room): void {
  if (old === null) return;
  new Uint8Array(to.buffer, to.start).set(new Uint8Array(old.buffer, old.start, used));
  old.release();
}
