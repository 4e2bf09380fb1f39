/** What clients say (docs/websocket.md): from a text frame to a message, or why it is none. Pure; never throws. */
import { plainPattern } from "../../pattern.ts";
import { memberText } from "./member-text.ts";
import type { Ref } from "./messages.ts";

export type ClientMessage =
  | { readonly type: "connect" | "refresh"; readonly token: string; readonly ref?: Ref }
  | {
      readonly type: "subscribe";
      readonly channel: string;
      /** A position, or what was named as one and is none; null: none. */
      readonly since: number | string | null;
      readonly ref?: Ref;
    }
  | { readonly type: "unsubscribe" | "presence"; readonly channel: string; readonly ref?: Ref }
  | {
      readonly type: "publish";
      readonly channel: string;
      /** JSON. */
      readonly data: string;
      readonly id: string | null;
      readonly event: string | null;
      readonly ref?: Ref;
    }
  | { readonly type: "ping"; readonly ref?: Ref };

export interface Bad {
  readonly type: "bad";
  /** `bad_message`, `unknown_type`, `bad_channel`. */
  readonly code: string;
  readonly message: string;
  /** It isn't this protocol at all: the connection is closed. */
  readonly hopeless: boolean;
  readonly ref?: Ref;
  readonly channel?: string;
}

/** A `ref` is sent back, and kept until then. */
const MAX_REF = 128;
/** Of a position that is none so much is told back. */
const ECHOED = 64;
const CONTROL = /\p{Cc}/u;

export interface Bounds {
  /** Of a channel, in bytes. */
  readonly channelBytes: number;
}

export function parseMessage(text: string, bounds: Bounds): ClientMessage | Bad {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return hopeless("A message is a JSON object.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return hopeless("A message is a JSON object.");
  }
  const fields = new Map(Object.entries(value));
  const type = fields.get("type");
  if (typeof type !== "string") return hopeless("A message has a type.");
  const ref = refOf(fields.get("ref"));
  if (ref === null) return bad(`ref is a number, or a string of at most ${MAX_REF} characters.`);
  return typed(type, fields, ref, text, bounds);
}

function typed(
  type: string,
  fields: ReadonlyMap<string, unknown>,
  ref: { readonly ref?: Ref },
  text: string,
  { channelBytes }: Bounds,
): ClientMessage | Bad {
  switch (type) {
    case "ping":
      return { type, ...ref };
    case "connect":
    case "refresh": {
      const token = fields.get("token");
      return typeof token === "string" ? { type, token, ...ref } : bad("token is missing.", ref);
    }
    case "subscribe":
    case "unsubscribe":
    case "presence":
    case "publish":
      break;
    default:
      return { ...bad(`There is no message of this type.`, ref), code: "unknown_type" };
  }
  const channel = fields.get("channel");
  if (typeof channel !== "string" || channel === "") return bad("channel is missing.", ref);
  if (Buffer.byteLength(channel) > channelBytes) {
    return { ...bad(`A channel has at most ${channelBytes} bytes.`, ref), code: "bad_channel" };
  }
  if (CONTROL.test(channel) || !channel.isWellFormed()) {
    return { ...bad("A channel has no control characters.", ref), code: "bad_channel" };
  }
  // What is published on is a name, with nothing in it but itself.
  if (type !== "publish" && plainPattern(channel) !== channel) return misspelt(channel, ref);
  if (type === "subscribe") return { type, channel, since: sinceOf(fields.get("since")), ...ref };
  if (type === "publish") return publishOf(channel, fields, ref, text);
  return { type, channel, ...ref };
}

/**
 * A name has one spelling, and a pattern too: who is on a channel is there once, leaves it by the name it came by, and a judge that
 * says no to it has said no to it under any.
 */
function misspelt(channel: string, ref: { readonly ref?: Ref }): Bad {
  const plain = JSON.stringify(plainPattern(channel));
  const message = `A backslash stands before * and another backslash only, and *** is **: this channel is written ${plain}.`;
  return { ...bad(message, ref), code: "bad_channel" };
}

function publishOf(
  channel: string,
  fields: ReadonlyMap<string, unknown>,
  ref: { readonly ref?: Ref },
  text: string,
): ClientMessage | Bad {
  if (!fields.has("data")) return bad("data is missing.", ref, channel);
  const id = nameOf(fields.get("id"));
  if (id === undefined) return bad("id is text, not empty and without control characters.", ref, channel);
  const event = nameOf(fields.get("event"));
  if (event === undefined) {
    return bad("event is text, not empty and without control characters.", ref, channel);
  }
  const data = memberText(text, "data");
  if (data === null) return bad("data is nested too deeply.", ref, channel);
  return { type: "publish", channel, data, id, event, ...ref };
}

/** Null: it has none; undefined: it is no name. */
function nameOf(value: unknown): string | null | undefined {
  if (value === undefined || value === null) return null;
  return typeof value === "string" && value !== "" && !CONTROL.test(value) && value.isWellFormed()
    ? value
    : undefined;
}

function refOf(value: unknown): { readonly ref?: Ref } | null {
  if (value === undefined || value === null) return {};
  if (typeof value === "number") return { ref: value };
  return typeof value === "string" && value.length <= MAX_REF ? { ref: value } : null;
}

/** A position as SSE takes it: digits, or the number; anything else is told back as what it was. */
function sinceOf(value: unknown): number | string | null {
  if (value === undefined || value === null || value === "") return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  return text.slice(0, ECHOED).toWellFormed();
}

function hopeless(message: string): Bad {
  return { type: "bad", code: "bad_message", message, hopeless: true };
}

function bad(message: string, ref: { readonly ref?: Ref } = {}, channel?: string): Bad {
  return {
    type: "bad",
    code: "bad_message",
    message,
    hopeless: false,
    ...ref,
    ...(channel !== undefined && { channel }),
  };
}
