/** A channel that a route names as it stands must be one that readers may join: nobody would ever see what goes there. */
import { compilePattern, templatePattern } from "../pattern.ts";
import { dotted, suggest } from "./problem.ts";
import type { ReadSink } from "./read-components.ts";
import type { Reader } from "./reader.ts";
import { isMap, type Path } from "./walk.ts";

/** `channel` goes to `sink` by the target at `path`, whose own fields are `written`. */
export function checkChannel(
  reader: Reader,
  sink: ReadSink,
  channel: string,
  written: Record<string, unknown>,
  path: Path,
  unknown: ReadonlySet<string>,
): void {
  const entries = entriesOf(sink);
  if (entries === null || channel.includes("{{")) return;
  const at = placeOf(sink, written, path);
  if (unknown.has(dotted(at)) || sink.filled.unknown.has(dotted(at))) return;
  if (entries.some((entry) => compilePattern(templatePattern(entry))(channel))) return;
  if (at === path) {
    const what = `has no channel, and no reader of ${sink.name} may join the default one, "${channel}"`;
    reader.error(path, what, `write channel: … here, or on the sink ${sink.name}`);
    return;
  }
  const what = `no reader of ${sink.name} may join the channel "${channel}"`;
  const near = suggest(channel, entries) ?? "";
  const remedy = near.startsWith("did you mean") ? near : `add it to channels under ${dotted(sink.path)}`;
  reader.error(at, what, remedy);
}

/** What readers may join; null where the sink has no such list, or it isn't known. */
function entriesOf(sink: ReadSink): string[] | null {
  const { plan, path, filled } = sink;
  const list = isMap(plan?.config) ? plan.config.channels : null;
  if (!Array.isArray(list)) return null;
  const under = dotted([...path, "channels"]);
  if ([...filled.unknown].some((at) => at.startsWith(under))) return null;
  return list.map((entry) => String(isMap(entry) ? entry.name : entry));
}

/** Where the channel was written; where neither target nor sink has one, the target that got the default. */
function placeOf(sink: ReadSink, written: Record<string, unknown>, path: Path): Path {
  if ("channel" in written) return [...path, "channel"];
  const own = isMap(sink.filled.value) && "channel" in sink.filled.value;
  return own ? [...sink.path, "channel"] : path;
}
