/** Events for the tests of routing. */
import { type Event, packHeaders } from "../../src/event.ts";

let last = 1_795_224_065_810_041;

export interface Sample {
  readonly body?: unknown;
  readonly bytes?: Uint8Array;
  readonly contentType?: string | null;
  readonly headers?: readonly (readonly [string, string | Uint8Array])[];
  readonly source?: string;
  readonly type?: string;
  readonly subject?: string | null;
  readonly key?: string | null;
  readonly hops?: number;
}

/** An event with a JSON body (or with `bytes` as they are). */
export function event(sample: Sample = {}): Event {
  const contentType = sample.contentType === undefined ? "application/json" : sample.contentType;
  const headers: (readonly [string, string | Uint8Array])[] = [...(sample.headers ?? [])];
  if (contentType !== null) headers.push(["Content-Type", contentType]);
  last += 1;
  return {
    seq: last,
    source: sample.source ?? "stripe",
    id: `evt_${last}`,
    type: sample.type ?? "payment_intent.succeeded",
    subject: sample.subject === undefined ? null : sample.subject,
    key: sample.key ?? null,
    time: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    headers: packHeaders(headers),
    body: sample.bytes ?? Buffer.from(JSON.stringify(sample.body ?? {})),
    hops: sample.hops ?? 0,
    cause: null,
  };
}
