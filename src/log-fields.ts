/**
 * What of a logged value may be shown: an error is its code, message, hint and stack, never its other fields (a client
 * library keeps whole requests there); headers, tokens and the like are dropped by name, however deep they lie; texts lose
 * secrets that are known, and what addresses carry beside their place; payloads pass only where they are asked for.
 */
import { LeatError } from "./errors.ts";
import { withoutCredentials, withoutSecrets } from "./secrets.ts";

const PAYLOAD = new Set(["body", "payload", "data", "answer"]);
const SECRET =
  /^(?:headers?|authorization|cookies?|.*token|.*secrets?|.*passw(?:or)?d|.*passphrase|.*api_?key|private_?key|credentials?|signature|env)$/i;

/** What lies deeper, or comes after so many, is left out: a line is for people. */
const DEEPEST = 4;
const MOST = 100;

/** The fields of one log line, as they may be written. */
export function shownFields(fields: object, payloads: boolean): Record<string, unknown> {
  return shownMap(fields, payloads, 0);
}

export function shownText(text: string): string {
  return withoutCredentials(withoutSecrets(text));
}

function shownMap(map: object, payloads: boolean, depth: number): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(map)) {
    if (SECRET.test(name) || (PAYLOAD.has(name) && !payloads)) continue;
    shown[name] = name === "err" ? describeError(value) : shownValue(value, payloads, depth + 1);
  }
  return shown;
}

function shownValue(value: unknown, payloads: boolean, depth: number): unknown {
  if (typeof value === "string") return shownText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return typeof value;
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return describeError(value);
  if (value instanceof URL) return shownText(value.href);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) {
    return payloads ? shownText(Buffer.from(value).toString("utf8")) : `${value.byteLength} bytes`;
  }
  if (depth > DEEPEST) return "…";
  if (value instanceof Map) return shownMap(Object.fromEntries(value), payloads, depth);
  if (Array.isArray(value) || value instanceof Set) {
    return [...value].slice(0, MOST).map((each) => shownValue(each, payloads, depth + 1));
  }
  return shownMap(value, payloads, depth);
}

interface ShownError {
  readonly type: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
  readonly cause: unknown;
}

/** The stack is for defects: an error of ours that isn't one says all in its code, message and hint. */
function describeError(error: unknown, depth = 0): ShownError | string {
  if (!(error instanceof Error)) return typeof error === "string" ? shownText(error) : typeof error;
  const expected = error instanceof LeatError && error.kind !== "internal";
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const hint = error instanceof LeatError ? error.hint : undefined;
  return {
    type: error.name,
    code,
    message: shownText(error.message),
    hint: hint === undefined ? undefined : shownText(hint),
    stack: expected || error.stack === undefined ? undefined : shownText(error.stack),
    cause: error.cause === undefined || depth > 3 ? undefined : describeError(error.cause, depth + 1),
  };
}
