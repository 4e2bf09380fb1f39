/** From a whole to what delivery works with: for each target of a route its compiled expressions and its sink. */
import type { PushedTarget, StreamTarget } from "../delivery/target.ts";
import type { Decode, Limits, SinkPolicy } from "../plan.ts";
import type { Logger } from "../ports.ts";
import { compileRoute } from "../routing/route.ts";
import { type Assembly, historyOf } from "./assembly.ts";

export interface Targets {
  readonly pushed: readonly PushedTarget[];
  readonly streams: readonly StreamTarget[];
}

/** @throws LeatError of kind `configuration` where an expression can't be compiled. */
export function compileTargets(assembly: Assembly, limits: Limits, log: Logger): Targets {
  const { plan, sinks } = assembly;
  const pushed: PushedTarget[] = [];
  const streams = new Map<string, StreamTarget & { readonly routes: Map<string, PushedTarget["prepare"]> }>();
  const decodes = new Map(plan.sources.map(({ name, decode }) => [name, decode]));
  const decodeOf = (source: string): Decode => decodes.get(source) ?? "auto";
  const watch = {
    onAbsentPath: (route: string, where: string) =>
      log.warn(
        { route, where },
        "a path of where was absent in each of the last 100 events: is it misspelt?",
      ),
  };

  for (const route of plan.routes) {
    for (const target of route.to) {
      const sink = sinks.get(target.sink);
      if (sink === undefined) throw new Error(`route ${route.name} names no sink ${target.sink}`);
      const compiled = compileRoute(route, target, decodeOf, watch);
      const prepare: PushedTarget["prepare"] = (event, cause) => compiled.prepare(event, cause);
      if (sink.kind === "stream") {
        const { name: stream } = sink.plan;
        const known = streams.get(stream);
        if (known !== undefined) known.routes.set(route.name, prepare);
        else {
          const routes = new Map([[route.name, prepare]]);
          const { channelBytes } = limits;
          streams.set(stream, {
            stream,
            sink: sink.component,
            routes,
            historyMs: historyOf(sink),
            channelBytes,
          });
        }
        continue;
      }
      const sinkPolicy = policyOf(sink.plan);
      pushed.push({
        subscription: target.subscription,
        route: route.name,
        sinkName: target.sink,
        sink: sink.component,
        prepare,
        policy: target.policy ?? sinkPolicy,
        sinkPolicy,
      });
    }
  }
  return { pushed, streams: [...streams.values()] };
}

function policyOf({ name, policy }: { name: string; policy: SinkPolicy | null }): SinkPolicy {
  if (policy === null) throw new Error(`the pushed sink ${name} has no policy`);
  return policy;
}
