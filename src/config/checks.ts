/** What only shows when sources, sinks and routes are seen together. */
import type { Settings } from "../plan.ts";
import { warnOfBrokersFed } from "./feeding.ts";
import { dotted } from "./problem.ts";
import type { ReadSink, ReadSource } from "./read-components.ts";
import type { Ends, ReadRoute } from "./read-routes.ts";
import type { Reader } from "./reader.ts";
import { hostOf, isLoopback } from "./settings.ts";
import { fieldOf, isMap, type Path, shapeOf } from "./walk.ts";

export function checkWhole(
  reader: Reader,
  ends: Ends,
  routes: readonly ReadRoute[],
  settings: Settings | null,
): void {
  checkNames(reader, ends);
  const endpoints = [...ends.sources, ...ends.sinks].flatMap(endpointsOf);
  checkEndpoints(reader, endpoints);
  if (settings) warnOfFeeding(reader, ends.sinks, endpoints, settings.server.listen);
  warnOfBrokersFed(reader, ends, routes);
  warnOfRounds(reader, ends.sinks, routes);
  // Where something is wrong, what nobody names may be what a wrong name was meant to be.
  if (!reader.problems.failed) warnOfUnused(reader, ends, routes);
}

/** `from: billing` couldn't tell which of the two is meant. */
function checkNames(reader: Reader, { sources, sinks }: Ends): void {
  for (const source of sources) {
    const sink = sinks.find((one) => one.name === source.name);
    if (!sink?.plan?.givesBack) continue;
    const what = "a sink of this name gives events back, which makes it a source too";
    reader.error(source.path, what, "rename one of the two", "key");
  }
}

// ---------------------------------------------------------------------------------------------------------- endpoints

interface Endpoint {
  readonly owner: ReadSource | ReadSink;
  readonly at: Path;
  readonly path: string;
  readonly isSource: boolean;
}

function endpointsOf(owner: ReadSource | ReadSink): Endpoint[] {
  const { filled } = owner;
  if (!owner.type || !isMap(filled.value)) return [];
  const written = filled.value;
  return shapeOf(owner.type.schema).flatMap(([key, field]) => {
    const at = [...owner.path, key];
    const path = written[key];
    if (!fieldOf(field).flags.endpoint || typeof path !== "string" || filled.unknown.has(dotted(at)))
      return [];
    return [{ owner, at, path, isSource: owner.type?.kind === "source" }];
  });
}

/** A source takes all that lies under its path, as the event's subject: nothing else may lie there. */
function checkEndpoints(reader: Reader, endpoints: readonly Endpoint[]): void {
  endpoints.forEach((one, at) => {
    const others = endpoints.slice(0, at);
    for (const other of others) {
      if (one.path === other.path) {
        reader.error(
          one.at,
          `${one.path} is also the path of ${dotted(other.owner.path)}`,
          "give each a path of its own",
        );
      } else if (isUnder(one.path, other.path) && (one.isSource || other.isSource)) {
        reader.error(one.at, `${one.path} lies under the path of ${dotted(other.owner.path)}`, SIDE_BY_SIDE);
      } else if (isUnder(other.path, one.path) && (one.isSource || other.isSource)) {
        reader.error(
          other.at,
          `${other.path} lies under the path of ${dotted(one.owner.path)}`,
          SIDE_BY_SIDE,
        );
      }
    }
  });
}

const SIDE_BY_SIDE = "choose paths that lie side by side, such as /webhooks/a and /webhooks/b";

function isUnder(path: string, above: string): boolean {
  return path.startsWith(`${above}/`);
}

// -------------------------------------------------------------------------------------------------------------- rounds

/** A sink whose URL is one of our own sources: each of its events comes back as a new one. */
function warnOfFeeding(
  reader: Reader,
  sinks: readonly ReadSink[],
  endpoints: readonly Endpoint[],
  listen: string,
): void {
  for (const sink of sinks) {
    const url = isMap(sink.plan?.config) ? sink.plan.config.url : null;
    if (typeof url !== "string" || sink.filled.unknown.has(dotted([...sink.path, "url"]))) continue;
    const target = URL.canParse(url) ? new URL(url) : null;
    if (!target || !isOurs(target, listen)) continue;
    const fed = endpoints.find(({ path, isSource }) => {
      return isSource && (target.pathname === path || isUnder(target.pathname, path));
    });
    if (!fed) continue;
    const what = `this sink feeds the source ${fed.owner.name}`;
    reader.warn([...sink.path, "url"], what, "an event that comes round is dead after 8 hops");
  }
}

function isOurs(url: URL, listen: string): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (port !== listen.slice(listen.lastIndexOf(":") + 1)) return false;
  const ours = hostOf(listen);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const everywhere = ours === "0.0.0.0" || ours === "::";
  return host === ours || (isLoopback(`${host}:0`) && (everywhere || isLoopback(listen)));
}

/** Sinks whose answers lead back to themselves: billing → (its answer) → crm → (its answer) → billing. */
function warnOfRounds(reader: Reader, sinks: readonly ReadSink[], routes: readonly ReadRoute[]): void {
  const giving = new Set(
    sinks.filter((sink) => sink.plan?.givesBack && sink.type?.kind === "pushed").map((s) => s.name),
  );
  const next = (sink: string) => routes.filter(({ from }) => from.includes(sink)).flatMap(({ to }) => to);
  for (const name of giving) {
    const seen = new Set<string>();
    const open = next(name);
    for (let sink = open.pop(); sink !== undefined; sink = open.pop()) {
      if (!giving.has(sink) || seen.has(sink)) continue;
      seen.add(sink);
      open.push(...next(sink));
    }
    if (!seen.has(name)) continue;
    reader.warn(
      ["sinks", name],
      "this sink's answers lead back to it",
      "an event that comes round is dead after 8 hops",
      "key",
    );
  }
}

// -------------------------------------------------------------------------------------------------------------- unused

function warnOfUnused(reader: Reader, { sources, sinks }: Ends, routes: readonly ReadRoute[]): void {
  const from = new Set(routes.flatMap((route) => route.from));
  const to = new Set(routes.flatMap((route) => route.to));
  for (const { name, path } of sources) {
    if (from.has(name)) continue;
    reader.warn(path, "no route takes from this source", "its events are kept and go nowhere", "key");
  }
  for (const { name, path } of sinks) {
    if (!to.has(name))
      reader.warn(path, "no route leads to this sink", "name it in a route's to, or remove it", "key");
  }
}
