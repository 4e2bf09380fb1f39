/** How the sources and sinks of a whole are doing, for readiness, metrics and people. */
import { hasLag } from "../component.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Ledger } from "../journal/journal.ts";
import { hasStreamMetrics } from "../sinks/stream/metrics.ts";
import type { Assembly } from "./assembly.ts";
import type { SinkStatus, SourceStatus } from "./face.ts";

export function sourceStatuses(assembly: Assembly | null): SourceStatus[] {
  return [...(assembly?.sources.values() ?? [])].map(({ plan, component, standing, lastAt }) => ({
    name: plan.name,
    type: plan.type,
    standing: standing.status(),
    lag: hasLag(component) ? component.lag() : null,
    lastAt: lastAt(),
  }));
}

export function sinkStatuses(
  assembly: Assembly | null,
  ledger: Ledger,
  delivery: Pick<Delivery, "status">,
): SinkStatus[] {
  const gates = new Map(delivery.status().map((gate) => [gate.sink, gate]));
  return [...(assembly?.sinks.values() ?? [])].map((sink) => {
    const stream = hasStreamMetrics(sink.component) ? sink.component.metrics() : null;
    return {
      name: sink.plan.name,
      type: sink.plan.type,
      kind: sink.kind,
      state: ledger.sinkState(sink.plan.name),
      standing: sink.kind === "pushed" ? sink.standing.status() : null,
      inFlight: sink.kind === "pushed" ? (gates.get(sink.plan.name)?.inFlight ?? 0) : null,
      probing: gates.get(sink.plan.name)?.breaker === "probing",
      readers: stream?.readers ?? null,
      members: stream?.members ?? null,
      tally: stream,
    };
  });
}
