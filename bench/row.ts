/** One line of the bench's table: a figure of ours beside a baseline's from the same run. */
export interface Row {
  readonly row: string;
  readonly unit: string;
  readonly leat: number;
  readonly baseline: number;
  /** leat / baseline, the median over paired rounds. */
  readonly ratio: number;
  /** The least ratio that we accept. */
  readonly bar: number;
  readonly against: string;
  readonly more: Readonly<Record<string, number>>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
