/** How a body, which is bytes, looks to expressions. The stored bytes are never touched. */
import { textOf } from "../event.ts";
import type { Decode } from "../plan.ts";

/**
 * An expression wants the body, and the body isn't what its content type or `decode: json` says. The event is kept.
 * The message goes to logs and dead letters: it never quotes the body, and neither does a cause.
 */
export class BodyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "BodyError";
  }
}

const lenientUtf8 = new TextDecoder("utf-8");

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/**
 * - `auto`: JSON where the content type says so or, without one, where it parses; a form as an object; else text if it
 *   is UTF-8; else base64, and so is what a schema registry's serializer has framed.
 * - `json`, `text` (what isn't UTF-8 becomes U+FFFD), `bytes` (base64): as named.
 *
 * An empty body that should be JSON is absent (undefined).
 * @throws BodyError where it should be JSON and isn't.
 */
export function decodeBody(bytes: Uint8Array, decode: Decode, contentType: string | null): unknown {
  switch (decode) {
    case "bytes":
      return base64(bytes);
    case "text":
      return lenientUtf8.decode(bytes);
    case "json":
      return json(bytes);
    case "auto":
      return auto(bytes, mediaType(contentType));
  }
}

function auto(bytes: Uint8Array, type: string): unknown {
  if (type === "application/json" || type.endsWith("+json")) return json(bytes);
  const text = isFramed(bytes) ? null : textOf(bytes);
  if (text === null) return base64(bytes);
  if (type === "application/x-www-form-urlencoded") return form(text);
  if (type === "" && text !== "") {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text;
}

function json(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  if (isFramed(bytes)) throw new BodyError(`the body is not JSON: ${FRAMED}`);
  const text = textOf(bytes);
  if (text === null) throw new BodyError("the body is not JSON: it is not UTF-8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BodyError(`the body is not JSON: ${whereJsonEnds(error)}`);
  }
}

const FRAMED = "it has a schema registry's 5 bytes before it; take decode: bytes";

/** A zero byte and a schema's number, before Avro, Protobuf or JSON. No text begins so, though it may be UTF-8. */
function isFramed(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes.byteLength >= 5;
}

/** Of V8's message, which quotes the text around the mistake, only the place. */
function whereJsonEnds(error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  if (message === "Unexpected end of JSON input") return "it ends too soon";
  const at = / in JSON at position (\d+)(?: \(line \d+ column \d+\))?$/.exec(message)?.[1];
  return at === undefined ? "it doesn't parse" : `it doesn't parse at character ${at}`;
}

/** A field that comes once is a string, one that comes several times a list of strings. */
function form(text: string): Record<string, string | string[]> {
  // Without a prototype, so that a field called `__proto__` is a field.
  const fields: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) {
    const before = fields[name];
    if (before === undefined) fields[name] = value;
    else if (typeof before === "string") fields[name] = [before, value];
    else before.push(value);
  }
  return fields;
}

/** The media type alone, in lower case; "" where there is none. */
function mediaType(contentType: string | null): string {
  if (contentType === null) return "";
  const end = contentType.indexOf(";");
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}
