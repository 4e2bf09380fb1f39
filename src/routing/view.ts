/** What expressions see of an event. */
import {
  type Event,
  headerValue,
  type NewEvent,
  type PackedHeaders,
  textOf,
  unpackHeaders,
} from "../event.ts";
import type { Decode } from "../plan.ts";
import { base64, decodeBody } from "./body.ts";

/**
 * An event as expressions see it: plain, own properties. `headers`, `headers_base64` and `body` are decoded at their
 * first use and then kept, so an event that is filtered by its type costs no parsing, and one that goes to several
 * routes, or is tried again, is parsed once.
 */
export interface EventView {
  /** Undefined while the event has none yet (the `id:`, `event_type:`, `key:` expressions of a source). */
  readonly seq: number | undefined;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string | null;
  readonly key: string | null;
  /** RFC 3339, UTC, with milliseconds. */
  readonly time: string;
  /** By lower-case name; a repeated header's values are joined by ", " (RFC 9110 section 5.3). */
  readonly headers: Readonly<Record<string, string>>;
  /** Those whose values aren't UTF-8. */
  readonly headers_base64: Readonly<Record<string, string>>;
  /** Reading it throws a `BodyError` where it should be JSON and isn't. */
  readonly body: unknown;
  /** The delivered event that this one answers, in the same form. */
  readonly cause: EventView | undefined;
}

/** The names that a path into an event can begin with. */
export const VIEW_FIELDS: readonly string[] = [
  "seq",
  "id",
  "source",
  "type",
  "subject",
  "key",
  "time",
  "headers",
  "headers_base64",
  "body",
  "cause",
];

/** What a view was made from: enough to make it again in another thread. */
export interface ViewOrigin {
  readonly event: NewEvent & { readonly seq?: number };
  readonly decode: Decode;
  readonly cause: EventView | undefined;
}

/**
 * What belongs to an event or a view hangs on it. A WeakMap with an entry for each event would be rehashed all the time, and
 * each table that it leaves behind keeps its events alive until the next full collection.
 */
const VIEW = Symbol("view");
const ORIGIN = Symbol("origin");

interface Viewed {
  [VIEW]?: EventView;
}

interface Made {
  [ORIGIN]?: ViewOrigin;
}

/** The view's origin; undefined for any other object. */
export function viewOrigin(scope: object): ViewOrigin | undefined {
  return (scope as Made)[ORIGIN];
}

/** The view of an event. The same event gives the same view as long as `decode` and `cause` are the same. */
export function eventView(event: NewEvent | Event, decode: Decode, cause?: EventView): EventView {
  const known = (event as Viewed)[VIEW];
  if (known !== undefined) {
    const origin = viewOrigin(known);
    if (origin?.decode === decode && origin.cause === cause) return known;
  }
  const view = makeView(event, decode, cause);
  // Not enumerable: who copies an event copies neither.
  Object.defineProperty(event, VIEW, { value: view, writable: true, configurable: true });
  Object.defineProperty(view, ORIGIN, { value: { event, decode, cause } satisfies ViewOrigin });
  return view;
}

function makeView(
  event: NewEvent & { seq?: number },
  decode: Decode,
  cause: EventView | undefined,
): EventView {
  let time: string | undefined;
  let headers: HeaderViews | undefined;
  let body: { value: unknown } | { error: unknown } | undefined;
  // Accessors of the object itself, not of a class: JSONata, like us, reads own properties only.
  return {
    seq: event.seq,
    id: event.id,
    source: event.source,
    type: event.type,
    subject: event.subject,
    key: event.key,
    get time() {
      time ??= new Date(event.time).toISOString();
      return time;
    },
    get headers() {
      headers ??= headerViews(event.headers);
      return headers.text;
    },
    get headers_base64() {
      headers ??= headerViews(event.headers);
      return headers.base64;
    },
    get body() {
      body ??= attempt(() => decodeBody(event.body, decode, contentTypeOf(event)));
      if ("error" in body) throw body.error;
      return body.value;
    },
    cause,
  };
}

function attempt(decode: () => unknown): { value: unknown } | { error: unknown } {
  try {
    return { value: decode() };
  } catch (error) {
    return { error };
  }
}

/** The event's content type as its sender wrote it; null where there is none. */
export function contentTypeOf(event: NewEvent): string | null {
  return headerValue(event.headers, "content-type") ?? null;
}

interface HeaderViews {
  readonly text: Record<string, string>;
  readonly base64: Record<string, string>;
}

function headerViews(packed: PackedHeaders): HeaderViews {
  const values = new Map<string, Uint8Array[]>();
  for (const [name, value] of unpackHeaders(packed)) {
    const lower = name.toLowerCase();
    const before = values.get(lower);
    if (before === undefined) values.set(lower, [value]);
    else before.push(value);
  }
  // Without prototypes: `__proto__` is a valid header name.
  const view: HeaderViews = { text: Object.create(null), base64: Object.create(null) };
  for (const [name, list] of values) {
    const texts = list.map(textOf);
    if (texts.every((text) => text !== null)) view.text[name] = texts.join(", ");
    else view.base64[name] = base64(join(list));
  }
  return view;
}

function join(list: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const value of list) {
    if (parts.length > 0) parts.push(Buffer.from(", "));
    parts.push(value);
  }
  return Buffer.concat(parts);
}
