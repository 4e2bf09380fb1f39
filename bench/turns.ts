/**
 * Leat and its baseline take short turns on the same machine, and only what two neighbouring turns say of each other is
 * used: a machine's speed drifts within seconds, and by more than what is to be told apart.
 */
import { median } from "./row.ts";

export class Turns<T extends { readonly [K in keyof T]: number }> {
  readonly leat: readonly T[];
  readonly baseline: readonly T[];

  constructor(leat: readonly T[], baseline: readonly T[]) {
    this.leat = leat;
    this.baseline = baseline;
  }

  of(side: "leat" | "baseline", field: keyof T): number {
    return median(this[side].map((turn) => turn[field]));
  }

  ratio(field: keyof T): number {
    return median(this.#pairs(field, (leat, baseline) => leat / baseline));
  }

  difference(field: keyof T): number {
    return median(this.#pairs(field, (leat, baseline) => leat - baseline));
  }

  #pairs(field: keyof T, compare: (leat: number, baseline: number) => number): number[] {
    return this.leat.map((turn, n) => compare(turn[field], this.baseline[n]?.[field] ?? Number.NaN));
  }
}

/** One turn of each to warm up, then `rounds` pairs, whose order alternates so that a steady drift favours nobody. */
export async function inTurns<T extends { readonly [K in keyof T]: number }>(
  rounds: number,
  leat: () => Promise<T>,
  baseline: () => Promise<T>,
): Promise<Turns<T>> {
  await leat();
  await baseline();
  const [ours, theirs]: [T[], T[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) ours.push(await leat());
    theirs.push(await baseline());
    if (round % 2 === 1) ours.push(await leat());
  }
  return new Turns(ours, theirs);
}
