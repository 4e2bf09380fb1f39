/** Brings the session's subscriptions at the broker in line with the configured filters. */
import type { MqttClient } from "mqtt";
import { BrokerError } from "../../brokers/supervise.ts";
import { type SessionNotes, sameFilters } from "./session-note.ts";

/** From here on a code in a SUBACK is a refusal. */
const REFUSED = 0x80;

const WHY: Readonly<Record<number, string>> = {
  143: "it takes no such filter",
  151: "a quota is used up",
  158: "it has no shared subscriptions",
  162: "it has no wildcards",
};

export interface Wanted {
  readonly filters: readonly string[];
  readonly qos: 0 | 1;
  readonly version: 5 | "3.1.1";
}

/**
 * Subscribes to what is wanted and unsubscribes from what isn't any more; `resumed`: the broker had the session. Resolves
 * with the filters that it grants less than was asked for. Rejects with a BrokerError where it denies one.
 */
export async function bringInLine(
  client: MqttClient,
  { filters, qos, version }: Wanted,
  notes: SessionNotes,
  resumed: boolean,
): Promise<readonly string[]> {
  const { filters: had, granted } = resumed ? notes.current : { filters: [], granted: null };
  // 3.1.1 has retained messages sent again at each SUBSCRIBE, and that would be at each reconnect.
  if (version === "3.1.1" && granted === qos && sameFilters(had, filters)) return [];
  const stale = had.filter((filter) => !filters.includes(filter));
  await notes.write({ filters: [...filters, ...stale], granted: stale.length === 0 ? granted : null });
  if (stale.length > 0) await client.unsubscribeAsync(stale);
  const codes = await subscribe(client, filters, qos);
  await notes.write({ filters, granted: qos });
  return filters.filter((_filter, at) => (codes[at] ?? 0) < qos);
}

async function subscribe(
  client: MqttClient,
  filters: readonly string[],
  qos: 0 | 1,
): Promise<readonly number[]> {
  const codes = await grant(client, filters, qos);
  const denied = filters.filter((_filter, at) => (codes[at] ?? REFUSED) >= REFUSED);
  if (denied.length === 0) return codes;
  const why = WHY[codes.find((code) => code >= REFUSED) ?? REFUSED] ?? "no permission";
  const message = `the broker denies the subscription to ${denied.join(", ")} (${why}): give this user the right to read it, or change topics:`;
  throw new BrokerError("subscription_denied", message, { calm: true });
}

/** The codes of the SUBACK, in the order of the filters. */
function grant(client: MqttClient, filters: readonly string[], qos: 0 | 1): Promise<number[]> {
  return new Promise((resolve, reject) => {
    // rh 1: what is retained comes with a new subscription, not with each SUBSCRIBE for one that is there (5 only).
    client.subscribe([...filters], { qos, rh: 1 }, (error, _granted, suback) => {
      if (suback?.granted !== undefined) resolve(suback.granted as number[]);
      else reject(error ?? new BrokerError("protocol", "the broker's answer to a SUBSCRIBE was no answer"));
    });
  });
}
