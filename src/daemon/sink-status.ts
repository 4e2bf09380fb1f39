/** How the sinks of a whole are doing, for readiness, metrics and people. */
import type { Delivery } from "../delivery/delivery.ts";
import type { Ledger } from "../journal/journal.ts";
import { hasStreamMetrics } from "../sinks/stream/metrics.ts";
import type { Assembly } from "./assembly.ts";
import type { SinkStatus } from "./face.ts";

export function sinkStatuses(
  assembly: Assembly | null,
  ledger: Ledger,
  delivery: Pick<Delivery, "status">,
): SinkStatus[] {
  const gates = new Map(delivery.status().map((gate) => [gate.sink, gate]));
  return [...(assembly?.sinks.values() ?? [])].map(({ plan, kind, component }) => ({
    name: plan.name,
    type: plan.type,
    kind,
    state: ledger.sinkState(plan.name),
    inFlight: kind === "pushed" ? (gates.get(plan.name)?.inFlight ?? 0) : null,
    probing: gates.get(plan.name)?.breaker === "probing",
    readers: hasStreamMetrics(component) ? component.metrics().readers : null,
  }));
}
