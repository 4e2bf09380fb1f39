/** Which topics a source reads: by name, or by a regular expression between slashes. */
import { RE2JS } from "re2js";
import { z } from "zod";
import { flags } from "../../config/fields.ts";

/** Kafka's own names begin so, and what is in them is for the brokers. */
const INTERNAL = "__";

export interface TopicChoice {
  readonly names: readonly string[];
  /** Whether a topic that isn't named is read all the same. */
  matches(topic: string): boolean;
  readonly hasPatterns: boolean;
}

export const topicField = () => {
  const schema = z.string().superRefine((written, context) => {
    const problem = problemOf(written);
    if (problem === null) return;
    context.addIssue({ code: "custom", message: problem[0], params: { remedy: problem[1] } });
  });
  flags.add(schema, {
    expects: "a topic's name, or a regular expression between slashes",
    examples: ["orders", "/orders-.*/"],
  });
  return schema;
};

function problemOf(written: string): readonly [message: string, remedy: string] | null {
  const pattern = patternOf(written);
  if (pattern === null) {
    return /^[A-Za-z0-9._-]{1,249}$/.test(written)
      ? null
      : [
          "is no name of a topic",
          "write letters, digits, dots, dashes and underscores, or /a regular expression/",
        ];
  }
  try {
    RE2JS.compile(pattern);
    return null;
  } catch {
    return ["is no regular expression (RE2)", "mend what stands between the slashes; RE2 has no look-around"];
  }
}

function patternOf(written: string): string | null {
  return written.length > 2 && written.startsWith("/") && written.endsWith("/") ? written.slice(1, -1) : null;
}

/** An expression has to match the whole name, as in Kafka's own clients. */
export function topicChoice(written: readonly string[]): TopicChoice {
  const patterns = written.map(patternOf).filter((pattern) => pattern !== null);
  const compiled = patterns.map((pattern) => RE2JS.compile(pattern));
  return {
    names: written.filter((name) => patternOf(name) === null),
    matches: (topic) => !topic.startsWith(INTERNAL) && compiled.some((one) => one.matches(topic)),
    hasPatterns: compiled.length > 0,
  };
}
