/**
 * A subscription's events once more, as they were handed out: with their causes, replays unwrapped (admission.ts), for
 * the routes that owed them then. Of a route whose sources a reload changed more than once the older spans are
 * forgotten (reconcile.ts), and so are the events that it owed by them.
 */
import type { Event, Seq } from "../../event.ts";
import type { Reread } from "../journal.ts";
import type { Admission } from "./admission.ts";
import { Delivery } from "./delivery.ts";
import type { BacklogMarks, EventFeed } from "./event-feed.ts";
import { DAMAGED_TYPE } from "./event-row.ts";

/** Causes are loaded so many at once, and the page ends when they take so much: any may be 16 MiB. */
const AT_ONCE = 16;
const CAUSE_BYTES = 4 * 1024 * 1024;

export interface Range {
  readonly after: Seq;
  /** Accepted at or after this; ms since 1970. */
  readonly since: number;
  readonly through: Seq;
}

/** One page of it, as `Subscription.reread` has it. */
export async function reread(
  feed: EventFeed & Pick<BacklogMarks, "seqBefore">,
  admission: Admission,
  { after, since, through: end }: Range,
): Promise<Reread> {
  const start = Math.min(end, Math.max(after, await feed.seqBefore(since)));
  if (start >= end) return { deliveries: [], from: Math.max(after, start), through: Math.max(after, end) };
  const page = await feed.page(start, admission.sources());
  // Asked after the page: what retention removed while it was read is below this.
  const from = Math.min(end, Math.max(start, await feed.seqBefore(0)));
  const owed = page.events
    .filter(({ seq }) => seq > from && seq <= end)
    .flatMap((event) => deliveryOf(event, admission) ?? []);
  let bytes = 0;
  for (let at = 0; at < owed.length; at += AT_ONCE) {
    if (bytes > CAUSE_BYTES)
      return { deliveries: shown(owed.slice(0, at)), from, through: owed[at - 1]!.seq };
    const some = owed.slice(at, at + AT_ONCE);
    await giveCauses(some, feed);
    await giveCauses(
      some.filter((delivery) => admission.unwrap(delivery)),
      feed,
    );
    for (const { cause } of some) bytes += cause?.body.byteLength ?? 0;
  }
  return { deliveries: shown(owed), from, through: Math.max(from, Math.min(end, page.through)) };
}

function deliveryOf(event: Event, admission: Admission): Delivery | null {
  const owners = admission.owners(event);
  if (owners === undefined) return null;
  const delivery = new Delivery(event.seq, 0, event.key, owners);
  delivery.event = event;
  return delivery;
}

async function giveCauses(deliveries: readonly Delivery[], feed: EventFeed): Promise<void> {
  const caused = deliveries.flatMap((delivery) => {
    const cause = delivery.event?.cause ?? null;
    return cause === null ? [] : [{ delivery, cause }];
  });
  if (caused.length === 0) return;
  const causes = await feed.load(caused.map(({ cause }) => cause));
  for (const [nth, { delivery }] of caused.entries()) delivery.cause = causes[nth] ?? null;
}

/** What can't be attempted was dead then, too. */
function shown(deliveries: readonly Delivery[]): Reread["deliveries"] {
  return deliveries.flatMap(({ event, cause, owners: { routes } }) =>
    event === null || event.type === DAMAGED_TYPE ? [] : [{ event, cause, routes }],
  );
}
