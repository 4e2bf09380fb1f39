/** How a frame's body becomes text, alone or wrapped with what is known of its event. Pure. */
import { isUtf8 } from "node:buffer";
import type { StreamFrame } from "../../component.ts";
import type { Seq } from "../../event.ts";

/** The body as text: itself where it is UTF-8, else base64 (the envelope says which). */
export function bodyText(body: Uint8Array): string {
  return asBuffer(body).toString(isUtf8(body) ? "utf8" : "base64");
}

/**
 * The frame as JSON: `channel`, `seq`, `id`, `type`, `time` (RFC 3339, UTC), and `data`, or `data_base64` for what is no
 * text, as in CloudEvents. A body that is JSON stands there as it was written, so that its numbers keep their digits.
 */
export function envelopeJson(seq: Seq, { channel, type, id, time, body }: StreamFrame): string {
  const head = JSON.stringify({ channel, seq, id, type, time: new Date(time).toISOString() });
  return `${head.slice(0, -1)},${bodyMember(body)}}`;
}

function bodyMember(body: Uint8Array): string {
  const buffer = asBuffer(body);
  if (!isUtf8(buffer)) return `"data_base64":${JSON.stringify(buffer.toString("base64"))}`;
  const text = buffer.toString();
  return `"data":${isJson(text) ? text : JSON.stringify(text)}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function asBuffer(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}
