/** One request to the admin API: what a client sent, as the operations read it, and what they answer. */
import type { DaemonFace } from "../daemon/face.ts";
import { LeatError } from "../errors.ts";
import type { Seq } from "../event.ts";

export interface Call {
  readonly daemon: DaemonFace;
  /** What the pattern's groups caught, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status?: number;
  readonly value: unknown;
}

const LIMIT = { usual: 50, most: 500 };

export function limitIn(query: URLSearchParams): number {
  return Math.min(numberIn(query, "limit") ?? LIMIT.usual, LIMIT.most);
}

export function seqIn(query: URLSearchParams, name: string): Seq | null {
  return numberIn(query, name);
}

function numberIn(query: URLSearchParams, name: string): number | null {
  const written = query.get(name);
  if (written === null) return null;
  const value = Number(written);
  if (/^\d+$/.test(written) && Number.isSafeInteger(value) && value > 0) return value;
  throw new LeatError("refused", "bad_request", `\`${name}\` must be a whole number above 0.`);
}

export function textIn(body: Call["body"], name: string): string {
  const value = body[name];
  if (typeof value === "string" && value !== "") return value;
  throw new LeatError("refused", "bad_request", `\`${name}\` is missing or no text.`);
}

export function jsonObject(bytes: Buffer): Call["body"] {
  if (bytes.byteLength === 0) return {};
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Call["body"];
  } catch {
    // Said below, as for any other value.
  }
  throw new LeatError("refused", "bad_request", "The body must be a JSON object.");
}
