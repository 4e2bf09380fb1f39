/** The sender's webhook as it stands in a journal. */
import { randomUUID } from "node:crypto";
import { eventBytes, type NewEvent, packHeaders } from "../src/event.ts";
import { BODY } from "./wrk.ts";

const BYTES = Buffer.from(BODY);
const HEADERS = packHeaders([
  ["content-type", "application/json"],
  ["x-github-event", "push"],
]);

export function webhook(): NewEvent {
  return {
    source: "github",
    id: randomUUID(),
    type: "push",
    subject: null,
    key: null,
    time: Date.now(),
    headers: HEADERS,
    body: BYTES,
    hops: 0,
    cause: null,
  };
}

/** What each counts for in `retention.size`. */
export const WEBHOOK_BYTES = eventBytes(webhook());
