/**
 * Ids of events that nobody has named: UUIDs of version 7 (RFC 9562), which sort by their time. Their random bits are
 * drawn for many at once: to ask for 16 bytes each time would take longer than all else that naming an event does.
 */
import { randomFillSync } from "node:crypto";
import { v7 as uuidv7 } from "uuid";

const RANDOM_BYTES = 16;
const pool = new Uint8Array(512 * RANDOM_BYTES);
let at = pool.length;

export function newId(): string {
  if (at === pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  const random = pool.subarray(at, at + RANDOM_BYTES);
  at += RANDOM_BYTES;
  return uuidv7({ random });
}
