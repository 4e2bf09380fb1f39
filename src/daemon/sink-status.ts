/** How the sinks of a whole are doing, for readiness, metrics and people. */
import type { Ledger } from "../journal/journal.ts";
import { hasStreamMetrics } from "../sinks/stream/metrics.ts";
import type { Assembly } from "./assembly.ts";
import type { SinkStatus } from "./face.ts";

export function sinkStatuses(assembly: Assembly | null, ledger: Ledger): SinkStatus[] {
  return [...(assembly?.sinks.values() ?? [])].map(({ plan, kind, component }) => ({
    name: plan.name,
    type: plan.type,
    kind,
    state: ledger.sinkState(plan.name),
    readers: hasStreamMetrics(component) ? component.metrics().readers : null,
  }));
}
