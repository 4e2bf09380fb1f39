/** The fields of `stream`. */
import { z } from "zod";
import { duration, integer, object, oneOf, size } from "../../../config/fields.ts";

const fields = object({
  type: oneOf(["lines"]).describe("Each line is an event: NDJSON, or plain text."),
  max_line: size()
    .optional()
    .describe(
      "The longest line; one that is longer is kept as refused. Default, and the most: `limits.event`.",
    ),
  idle: duration()
    .refine((ms) => ms >= 1000, { message: "is too short", params: { remedy: "take 1s or more" } })
    .prefault("5m")
    .describe(
      "The longest time between two lines. An empty line keeps a stream going that has nothing to say.",
    ),
  concurrency: integer(1, 100_000).default(1000).describe("Streams at a time; beyond it 503."),
  empty: oneOf(["skip", "keep"])
    .default("skip")
    .describe("Whether an empty line is an event; one that is skipped isn't counted either."),
});

/** `lines`, or a map. */
export const streamSchema = z
  .union([oneOf(["lines"]), fields])
  .transform((written) => (written === "lines" ? fields.parse({ type: "lines" }) : written));

export type StreamConfig = z.output<typeof fields>;

/** The ways of verifying that need no more than the headers: a line is on its way long before the body is whole. */
const PROVES_FIRST: ReadonlySet<string> = new Set(["basic", "bearer"]);

export function provesFirst(verify: string): boolean {
  return PROVES_FIRST.has(verify);
}
