/** The fields that all streams have for readers that are slow, and for a drain. */
import { z } from "zod";
import { duration, size } from "../../config/fields.ts";
import { compilePattern, templatePattern } from "../../pattern.ts";
import type { SlowPolicy } from "./backlog.ts";

export const slowPolicy = z.enum(["close", "drop_oldest", "latest"]);

export const slowFields = {
  slow: slowPolicy
    .default("close")
    .describe(
      "what a slow reader gets: `close`: everything, from the index, and it is closed where it takes longer than `max_delay`, to resume; `drop_oldest`: the newest; `latest`: the newest of each key. What it missed it is told. A channel may say otherwise",
    ),
  max_buffer: size()
    .prefault("1MiB")
    .describe(
      "what may wait in memory for one slow reader; beyond it, it is fed from the index, or `slow` says what is dropped",
    ),
  max_delay: duration()
    .refine((ms) => ms >= 100, {
      message: "is too short",
      params: { remedy: "a reader on a train may take nothing for seconds: 30s is usual" },
    })
    .prefault("30s")
    .describe("how long anything may wait in memory for one reader; then it is closed, and resumes"),
};

export const drainField = duration()
  .prefault("3s")
  .describe("at SIGTERM readers are sent away over so long, while events still come; few readers take less");

/** By channel; the first entry that covers one decides, where it has a `slow` of its own. */
export function slowOf(
  usual: SlowPolicy,
  channels: readonly (string | { readonly name: string; readonly slow?: SlowPolicy | undefined })[],
): (channel: string) => SlowPolicy {
  const own = channels.flatMap((entry) =>
    typeof entry !== "string" && entry.slow !== undefined
      ? [{ matches: compilePattern(templatePattern(entry.name)), slow: entry.slow }]
      : [],
  );
  if (own.length === 0) return () => usual;
  return (channel) => own.find(({ matches }) => matches(channel))?.slow ?? usual;
}
