/** THE list of sources and sinks, one line each. A test checks it against the folders. */
import type { SinkType, SourceType } from "./component.ts";

export const sourceTypes: readonly SourceType[] = [];

export const sinkTypes: readonly SinkType[] = [];
