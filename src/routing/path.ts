/** Paths into an event: `body.data.object.livemode`, `headers.x-foo`, `cause.body.id`. */
import { LeatError } from "../errors.ts";
import { VIEW_FIELDS } from "./view.ts";

export type Path = readonly [string, ...string[]];

/** Names by which JavaScript objects reach their prototypes; no path may hold them (prototype pollution). */
const RESERVED = new Set(["__proto__", "constructor", "prototype"]);

/** The first name of a path that may not be used; undefined where there is none. */
export function reservedSegment(segments: readonly string[]): string | undefined {
  return segments.find((segment) => RESERVED.has(segment));
}

export function reservedSegmentError(segment: string, where: string): LeatError {
  return new LeatError(
    "configuration",
    "path_reserved",
    `\`${segment}\` can't be part of a path, in \`${where}\``,
    { hint: "Rename the field at its sender, or match on another one." },
  );
}

/**
 * The segments of a path as it stands in `match`: separated by dots, a `\` before a dot that belongs to a name. What
 * follows `headers.` is one header's name, whatever it holds, in lower case.
 * @throws LeatError of kind `configuration`.
 */
export function parsePath(text: string): Path {
  const segments = split(text);
  const first = segments[0];
  if (first === undefined || segments.includes("")) {
    throw new LeatError("configuration", "path_syntax", `\`${text}\` is not a path`, {
      hint: "A path is names with dots between them, such as `body.data.id`.",
    });
  }
  const reserved = reservedSegment(segments);
  if (reserved !== undefined) throw reservedSegmentError(reserved, text);
  const root = segments.findIndex((segment) => segment !== "cause");
  const field = segments[root];
  if (field === undefined) return [first, ...segments.slice(1)];
  if (!VIEW_FIELDS.includes(field)) {
    throw new LeatError("configuration", "path_unknown", `an event has no \`${field}\`, in \`${text}\``, {
      hint: `A path begins with one of ${VIEW_FIELDS.join(", ")}; fields of the body are under \`body.\`.`,
    });
  }
  if (field !== "headers" && field !== "headers_base64") return [first, ...segments.slice(1)];
  const name = segments.slice(root + 1);
  if (name.length === 0) return [first, ...segments.slice(1)];
  const [head = field, ...rest] = [...segments.slice(0, root + 1), name.join(".").toLowerCase()];
  return [head, ...rest];
}

function split(text: string): string[] {
  const segments: string[] = [];
  let segment = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "\\" && (text[at + 1] === "." || text[at + 1] === "\\")) segment += text[++at];
    else if (char === ".") {
      segments.push(segment);
      segment = "";
    } else segment += char;
  }
  segments.push(segment);
  return segments;
}

/** The value at a path, by own properties only; undefined where it is absent. A list's items go by their number. */
export function readPath(scope: object, path: readonly string[]): unknown {
  let value: unknown = scope;
  for (const segment of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Record<string, unknown>)[segment];
  }
  return value;
}
