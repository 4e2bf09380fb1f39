/** Sinks that write to a broker what a source reads there: an event may come round. */
import type { PushedSinkType } from "../component.ts";
import type { Ends, ReadRoute } from "./read-routes.ts";
import type { Reader } from "./reader.ts";

export function warnOfBrokersFed(
  reader: Reader,
  { sources, sinks }: Ends,
  routes: readonly ReadRoute[],
): void {
  for (const { path, plan: route } of routes) {
    for (const target of route?.to ?? []) {
      const sink = sinks.find(({ name }) => name === target.sink);
      // What isn't known can't be compared.
      if (!sink?.plan || sink.filled.unknown.size > 0 || sink.type?.kind !== "pushed") continue;
      const type: PushedSinkType = sink.type;
      const address = type.writes?.(sink.plan.config, target.templates) ?? null;
      if (address === null) continue;
      const fed = sources.find(({ type: source, plan, filled }) => {
        return plan !== null && filled.unknown.size === 0 && source?.reads?.(plan.config, address) === true;
      });
      if (fed === undefined) continue;
      reader.warn(
        [...path, "to"],
        `the sink ${sink.name} writes what the source ${fed.name} reads`,
        "an event that comes round is dead after 8 hops",
      );
    }
  }
}
