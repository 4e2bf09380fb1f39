/** Makes the metrics of one registry: named `leat_…`, each kind by one short call. */
import { Counter, Gauge, type Registry } from "prom-client";

/** `name` without `leat_`; `help` is a sentence. */
type Make<M> = (name: string, help: string, ...labelNames: string[]) => M;

export interface MetricMakers {
  readonly counter: Make<Counter>;
  readonly gauge: Make<Gauge>;
}

export function metricMakers(registry: Registry): MetricMakers {
  const registers = [registry];
  const named = (name: string, help: string, labelNames: string[]) => {
    return { name: `leat_${name}`, help, labelNames, registers };
  };
  return {
    counter: (name, help, ...labels) => new Counter(named(name, help, labels)),
    gauge: (name, help, ...labels) => new Gauge(named(name, help, labels)),
  };
}
