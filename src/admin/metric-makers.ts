/** Makes the metrics of one registry: named `leat_…`, each kind by one short call. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** `name` without `leat_`; `help` is a sentence. */
type Make<M> = (name: string, help: string, ...labelNames: string[]) => M;

export interface MetricMakers {
  readonly counter: Make<Counter>;
  readonly gauge: Make<Gauge>;
  /** Of durations in seconds. */
  readonly durations: Make<Histogram>;
}

/** From a quick answer to the hour that a retry may wait. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];

export function metricMakers(registry: Registry): MetricMakers {
  const registers = [registry];
  const named = (name: string, help: string, labelNames: string[]) => {
    return { name: `leat_${name}`, help, labelNames, registers };
  };
  return {
    counter: (name, help, ...labels) => new Counter(named(name, help, labels)),
    gauge: (name, help, ...labels) => new Gauge(named(name, help, labels)),
    durations: (name, help, ...labels) => new Histogram({ ...named(name, help, labels), buckets: SECONDS }),
  };
}
