/** What an expression sees, on its way to another thread. */
import type { NewEvent } from "../event.ts";
import type { Decode } from "../plan.ts";
import { type EventView, eventView, viewOrigin } from "./view.ts";

/** An event goes as it is stored, to be decoded there only if it is asked for; anything else as plain data. */
export type Parcel =
  | {
      readonly kind: "event";
      readonly event: NewEvent & { readonly seq?: number };
      readonly decode: Decode;
      readonly cause: Parcel | null;
    }
  | { readonly kind: "data"; readonly data: object };

export function pack(scope: object): Parcel {
  const origin = viewOrigin(scope);
  if (origin === undefined) return { kind: "data", data: scope };
  const { event, decode, cause } = origin;
  return {
    kind: "event",
    // Copies: a body may be a small slice of a large buffer, all of which would be cloned.
    event: { ...event, headers: event.headers.slice(), body: event.body.slice() },
    decode,
    cause: cause === undefined ? null : pack(cause),
  };
}

export function unpack(parcel: Parcel): object {
  if (parcel.kind === "data") return parcel.data;
  const cause = parcel.cause === null ? undefined : (unpack(parcel.cause) as EventView);
  return eventView(parcel.event, parcel.decode, cause);
}

/** Bytes that JSONata could come to look at. */
export function weightOf(scope: object): number {
  const origin = viewOrigin(scope);
  if (origin === undefined) return 0;
  const own = origin.event.body.byteLength + origin.event.headers.byteLength;
  return origin.cause === undefined ? own : own + weightOf(origin.cause);
}
