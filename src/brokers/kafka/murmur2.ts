/** The hash by which Java's client, and after it most others, chooses a key's partition (murmur2, seed 0x9747b28c). */
const MIX = 0x5bd1e995;

/** Signed 32 bits, as in Java. */
export function murmur2(key: Uint8Array): number {
  const { length } = key;
  let hash = 0x9747b28c ^ length;
  const whole = length - (length % 4);
  for (let at = 0; at < whole; at += 4) {
    let four =
      (key[at] as number) |
      ((key[at + 1] as number) << 8) |
      ((key[at + 2] as number) << 16) |
      ((key[at + 3] as number) << 24);
    four = Math.imul(four, MIX);
    four ^= four >>> 24;
    hash = Math.imul(hash, MIX) ^ Math.imul(four, MIX);
  }
  for (let at = length - 1; at >= whole; at--) hash ^= (key[at] as number) << (8 * (at - whole));
  if (length > whole) hash = Math.imul(hash, MIX);
  hash = Math.imul(hash ^ (hash >>> 13), MIX);
  return hash ^ (hash >>> 15);
}

/** A key's partition. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
