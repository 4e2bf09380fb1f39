/**
 * Messages that have come and aren't acknowledged, in the order they came.
 *
 * A PUBACK says that the message is ours (J1), so it waits for the disk; and MQTT wants acknowledgements in the order of
 * the messages (MQTT-4.6.0-2), so one whose append is done waits for those before it. Between, other packets are read: to
 * wait for each disk write in turn would take a message a write. How many may wait is bounded, by number and by bytes.
 */

export interface UnackedBounds {
  readonly messages: number;
  readonly bytes: number;
}

interface Waiting {
  /** Null: nobody waits for an acknowledgement (QoS 0). */
  readonly packetId: number | null;
  readonly bytes: number;
  taken: boolean;
}

export class Unacked {
  readonly #bounds: UnackedBounds;
  readonly #acknowledge: (packetId: number) => void;
  #line: Waiting[] = [];
  #head = 0;
  #bytes = 0;

  constructor(bounds: UnackedBounds, acknowledge: (packetId: number) => void) {
    this.#bounds = bounds;
    this.#acknowledge = acknowledge;
  }

  get count(): number {
    return this.#line.length - this.#head;
  }

  /** Nothing more should be read until something is acknowledged. */
  get full(): boolean {
    return this.count >= this.#bounds.messages || this.#bytes >= this.#bounds.bytes;
  }

  /** Returns what to call once the message is on disk. */
  add(packetId: number | null, bytes: number): () => void {
    const waiting = { packetId, bytes, taken: false };
    this.#line.push(waiting);
    this.#bytes += bytes;
    return () => {
      waiting.taken = true;
      if (this.#line[this.#head] === waiting) this.#advance();
    };
  }

  #advance(): void {
    for (let next = this.#line[this.#head]; next?.taken; next = this.#line[this.#head]) {
      this.#head++;
      this.#bytes -= next.bytes;
      if (next.packetId !== null) this.#acknowledge(next.packetId);
    }
    // What is done goes in blocks: to shift at each would move all the others each time.
    if (this.#head * 2 >= this.#line.length) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
  }
}
