/** Reading /metrics as strictly as Prometheus does, and the identity of J3 in what was read. */
import assert from "node:assert/strict";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metrics {
  readonly samples: readonly Sample[];
  /** `counter`, `gauge` or `histogram` by the metric's name. */
  readonly types: ReadonlyMap<string, string>;
}

/** Prometheus' text format 0.0.4, strictly: throws for a line that fits nothing. */
export function parseMetrics(text: string): Metrics {
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  assert.ok(text.endsWith("\n"), "the text doesn't end with a line's end");
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("# HELP ")) continue;
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (type !== null) {
      assert.ok(!types.has(type[1] as string), `${type[1]} is there twice`);
      types.set(type[1] as string, type[2] as string);
      continue;
    }
    const found = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (-?[0-9.e+-]+|NaN|\+Inf)$/.exec(line);
    assert.ok(found, `not a sample: ${line}`);
    const labels = [...(found[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)];
    samples.push({
      name: found[1] as string,
      labels: Object.fromEntries(labels.map(([, name, value]) => [name, value])),
      value: Number(found[3]),
    });
  }
  return { samples, types };
}

/** `admin` is the admin listener's URL. */
export async function scrapeMetrics(admin: string, signal?: AbortSignal): Promise<Metrics> {
  const response = await fetch(`${admin}/metrics`, signal === undefined ? {} : { signal });
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  return parseMetrics(await response.text());
}

/** What is accepted and not settled, over all accounts. */
export async function unsettled(admin: string): Promise<number> {
  const { samples } = await scrapeMetrics(admin);
  return samples.filter(({ name }) => name === "leat_unsettled").reduce((sum, { value }) => sum + value, 0);
}

/** One side of J3 by route and sink: what was accepted, and what became of it. */
export interface AccountSum {
  readonly accepted: number;
  /** The sum of all states. */
  readonly parts: number;
  /** How many states there are: eight. */
  readonly states: number;
  /** One of the numbers is below zero, or no whole one. */
  readonly absurd: boolean;
}

/** The accounts of J3, by `route → sink`. */
export function accountSums(
  samples: readonly Sample[],
  prefix: "leat_" | "leat_replays_",
): Map<string, AccountSum> {
  const sums = new Map<string, { accepted: number; parts: number; states: number; absurd: boolean }>();
  for (const { name, labels, value } of samples) {
    const accepted = name === `${prefix}accepted_total`;
    if (!accepted && name !== `${prefix}settled_total` && name !== `${prefix}unsettled`) continue;
    const account = `${labels.route} → ${labels.sink}`;
    const sum = sums.get(account) ?? { accepted: 0, parts: 0, states: 0, absurd: false };
    sums.set(account, sum);
    if (!Number.isSafeInteger(value) || value < 0) sum.absurd = true;
    if (accepted) sum.accepted += value;
    else {
      sum.parts += value;
      sum.states++;
    }
  }
  return sums;
}
