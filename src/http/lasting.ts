/**
 * Requests that take as long as they like to come: streams of lines, whose reader bounds the time between two of them. Of
 * all others the listener asks that they are there within its `requestTimeout`.
 */
import type { IncomingMessage } from "node:http";

const lasting = new WeakSet<IncomingMessage>();

/** To be called for a request that was let in, before its time is over. */
export function letLast(request: IncomingMessage): void {
  lasting.add(request);
}

export function mayLast(request: IncomingMessage): boolean {
  return lasting.has(request);
}
