/** What a Leat under measurement says of itself at /metrics. */
export interface Sample {
  readonly name: string;
  /** As they stand between the braces. */
  readonly labels: string;
  readonly value: number;
}

/** `admin` is the admin listener's URL. */
export async function scrapeMetrics(admin: string): Promise<Sample[]> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return [...text.matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = "", labels = "", value]) => ({
    name,
    labels,
    value: Number(value),
  }));
}

/** The sum over all series of a metric whose labels contain `label`; 0 when there is none. */
export function total(samples: readonly Sample[], name: string, label = ""): number {
  return samples
    .filter((sample) => sample.name === name && sample.labels.includes(label))
    .reduce((sum, { value }) => sum + value, 0);
}
