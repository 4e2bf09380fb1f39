/** A line of the bench's table: a figure of ours beside a baseline's from the same run, and the bar it has to reach. */
export interface Row {
  readonly row: string;
  readonly unit: string;
  readonly leat: number;
  readonly baseline: number;
  /** What the baseline is. */
  readonly against: string;
  readonly compared: Comparison;
  /** Null: reported only. */
  readonly bar: Bar | null;
  readonly more: Readonly<Record<string, number>>;
}

/** `ratio`: leat / baseline; `difference`: leat - baseline, in the row's unit. Each the median over paired turns. */
export interface Comparison {
  readonly by: "ratio" | "difference";
  readonly value: number;
}

export type Bar = { readonly least: number } | { readonly most: number };

/** False also for what could not be measured (NaN). */
export function reaches({ compared, bar }: Pick<Row, "compared" | "bar">): boolean {
  if (bar === null) return true;
  return "least" in bar ? compared.value >= bar.least : compared.value <= bar.most;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The value below which `share` of the others lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
