/**
 * What deliveries must be like, kept beside the ledger by simpler means: by event, who owes it, and whether it is settled.
 * After a crash it is read back from disk; what the two then say is held against each other by counting rows.
 */
import assert from "node:assert/strict";
import type { Event, Seq } from "../../../src/event.ts";
import type { Lease, SubscriptionDefinition } from "../../../src/journal/journal.ts";
import type { RouteSpans, Span } from "../../../src/journal/sqlite/feeds.ts";
import type { Row, Storage } from "../../../src/journal/sqlite/storage.ts";

interface Known {
  readonly source: string;
  readonly key: string | null;
}

export class DeliveryModel {
  readonly #disk: Storage;
  readonly #events = new Map<Seq, Known>();
  readonly #spans = new Map<string, readonly Span[]>();
  /** By subscription: what its receiver said yes to, in any life; what ended otherwise. */
  readonly #delivered = new Map<string, Set<Seq>>();
  readonly #dead = new Map<string, Set<Seq>>();
  /** By subscription: settled, as far as this life knows; and what is leased. */
  #settled = new Map<string, Set<Seq>>();
  #leased = new Map<string, Set<Seq>>();
  /** Purged while they were leased: they end with their lease. */
  #purged = new Map<string, Set<Seq>>();

  constructor(disk: Storage) {
    this.#disk = disk;
  }

  appended(events: readonly Event[]): void {
    for (const { seq, source, key } of events) this.#events.set(seq, { source, key });
  }

  /** A new process: only what is on disk counts. */
  restart(): void {
    this.#settled = new Map();
    this.#leased = new Map();
    this.#purged = new Map();
    this.#read();
    for (const subscription of this.#subscriptions()) {
      const settled = of(this.#settled, String(subscription.name));
      const rows = this.#rows(subscription);
      for (const seq of this.#owed(subscription)) {
        if (seq <= Number(subscription.cursor) && !rows.has(seq)) settled.add(seq);
      }
      // It ended the process three times: dead without another try.
      for (const { seq } of this.#all(
        "SELECT seq FROM suspicion WHERE subscription = ? AND times >= 3",
        subscription.id,
      )) {
        settled.add(Number(seq));
        of(this.#dead, String(subscription.name)).add(Number(seq));
      }
    }
  }

  leased({ name, order }: SubscriptionDefinition, { event, replay }: Lease): void {
    assert.notEqual(event.type, "leat.missing");
    if (replay > 0) return;
    const leased = of(this.#leased, name);
    assert.ok(!leased.has(event.seq), `${name}: ${event.seq} is leased twice`);
    const settled = of(this.#settled, name);
    assert.ok(!settled.has(event.seq), `${name}: ${event.seq} is leased though it is settled`);
    leased.add(event.seq);
    if (order === "none" || (order === "key" && event.key === null)) return;
    const subscription = this.#subscriptions().find((row) => row.name === name);
    if (subscription === undefined) return;
    for (const seq of this.#owed(subscription)) {
      if (seq >= event.seq || settled.has(seq)) continue;
      if (order === "key" && this.#events.get(seq)?.key !== event.key) continue;
      if (order === "seq" && leased.has(seq)) continue;
      assert.fail(`${name}: ${event.seq} (key ${event.key}) is leased before ${seq} is settled`);
    }
  }

  /** Released, or to be tried again. */
  handedBack({ name }: SubscriptionDefinition, { event, replay }: Lease): void {
    if (replay > 0) return;
    of(this.#leased, name).delete(event.seq);
    if (of(this.#purged, name).has(event.seq)) of(this.#settled, name).add(event.seq);
  }

  /** A person purged what is owed up to here. */
  purged({ name }: SubscriptionDefinition, through: Seq): void {
    const subscription = this.#subscriptions().find((row) => row.name === name);
    const leased = of(this.#leased, name);
    for (const seq of subscription === undefined ? [] : this.#owed(subscription)) {
      if (seq <= through) of(leased.has(seq) ? this.#purged : this.#settled, name).add(seq);
    }
  }

  settled({ name }: SubscriptionDefinition, { event, replay }: Lease): void {
    of(this.#delivered, name).add(event.seq);
    if (replay > 0) return;
    of(this.#leased, name).delete(event.seq);
    of(this.#settled, name).add(event.seq);
  }

  dead({ name }: SubscriptionDefinition, { event, replay }: Lease): void {
    of(this.#dead, name).add(event.seq);
    if (replay > 0) return;
    of(this.#leased, name).delete(event.seq);
    of(this.#settled, name).add(event.seq);
  }

  /** J3 on disk: the columns add up, and what is pending or retrying is what rows and the cursor say. */
  checkDisk(): void {
    this.#read();
    for (const subscription of this.#subscriptions()) {
      const accounts = this.#all("SELECT * FROM account WHERE subscription = ?", subscription.id);
      for (const account of accounts) {
        for (const prefix of ["", "replay_"]) {
          const column = (name: string) => Number(account[prefix + name]);
          const states = ["pending", "retrying", "filtered", "delivered", "dead", "expired", "purged"];
          const sum = states.reduce((total, name) => total + column(name), 0);
          const shown = `${subscription.name}: ${JSON.stringify(account)}`;
          assert.equal(sum, column("accepted"), `J3 on disk: ${shown}`);
          for (const name of states) assert.ok(column(name) >= 0, `J3 on disk: ${shown}`);
        }
      }
      const lost = this.#all(
        "SELECT seq FROM dead WHERE error = 'event_missing' AND subscription = ?",
        subscription.id,
      );
      assert.deepEqual(lost, [], "J6: retention removed what was owed");
      if (isStream(subscription)) {
        this.#checkStream(subscription, accounts);
        continue;
      }
      const rows = this.#all("SELECT * FROM delivery WHERE subscription = ?", subscription.id);
      const count = (state: (row: Row) => boolean, replays: boolean) =>
        rows.filter((row) => Number(row.replay) > 0 === replays && state(row)).length;
      const retrying = (row: Row) => row.state === "retrying" && Number(row.attempts) > 0;
      const unread = this.#owed(subscription).filter((seq) => seq > Number(subscription.cursor)).length;
      const [account] = accounts;
      const shown = `${subscription.name}: ${JSON.stringify(account)} ${JSON.stringify(rows)}`;
      assert.equal(account?.retrying, count(retrying, false), `retrying rows: ${shown}`);
      assert.equal(
        account?.pending,
        count((row) => !retrying(row), false) + unread,
        `pending rows: ${shown}`,
      );
      assert.equal(account?.replay_retrying, count(retrying, true), `replays' retrying rows: ${shown}`);
      assert.equal(
        account?.replay_pending,
        count((row) => !retrying(row), true),
        `replays' rows: ${shown}`,
      );
    }
  }

  /** By route: what is pending is what is unread, or has a row, and comes from the route's sources. */
  #checkStream(subscription: Row, accounts: readonly Row[]): void {
    const rows = this.#rows(subscription);
    for (const { route, spans } of JSON.parse(String(subscription.feeds)) as RouteSpans[]) {
      const feeds = JSON.stringify([{ route, spans }]);
      const owed = this.#owed({ ...subscription, feeds });
      const pending = owed.filter((seq) => seq > Number(subscription.cursor) || rows.has(seq)).length;
      const account = accounts.find((each) => each.route === route);
      assert.equal(account?.pending, pending, `${subscription.name} ${route}: ${JSON.stringify(account)}`);
    }
  }

  /** Nothing was lost: what was owed was delivered (or filtered), or died, or was purged. */
  checkEverySettled(): void {
    for (const subscription of this.#subscriptions()) {
      const name = String(subscription.name);
      const purged = this.#all("SELECT first, last FROM expiry WHERE subscription = ?", subscription.id);
      for (const seq of this.#owed(subscription)) {
        const ended =
          of(this.#delivered, name).has(seq) ||
          of(this.#dead, name).has(seq) ||
          purged.some(({ first, last }) => Number(first) <= seq && seq <= Number(last));
        assert.ok(ended || this.#removed(subscription, seq), `${name}: ${seq} was lost`);
      }
    }
  }

  /** A commit that nobody was told of counts too. */
  #read(): void {
    const newest = [...this.#events.keys()].at(-1) ?? 0;
    const rows = this.#all(
      `SELECT seq, key, source.name AS source FROM event JOIN source ON source.id = event.source
       WHERE seq > ? ORDER BY seq`,
      newest,
    );
    for (const { seq, key, source } of rows) {
      this.#events.set(Number(seq), { source: String(source), key: key === null ? null : String(key) });
    }
  }

  #removed(_subscription: Row, seq: Seq): boolean {
    // Retention takes expiry ranges with their events.
    return this.#all("SELECT 1 FROM event WHERE seq = ?", seq).length === 0;
  }

  #owed(subscription: Row): Seq[] {
    const json = String(subscription.feeds);
    let spans = this.#spans.get(json);
    if (spans === undefined) {
      spans = (JSON.parse(json) as RouteSpans[]).flatMap((feed) => feed.spans);
      this.#spans.set(json, spans);
    }
    const owed: Seq[] = [];
    for (const [seq, { source }] of this.#events) {
      for (const { after, until, sources } of spans) {
        if (seq > after && (until === null || seq <= until) && sources.includes(source)) {
          owed.push(seq);
          break;
        }
      }
    }
    return owed;
  }

  #rows(subscription: Row): Set<Seq> {
    const rows = this.#all("SELECT seq FROM delivery WHERE subscription = ? AND replay = 0", subscription.id);
    return new Set(rows.map(({ seq }) => Number(seq)));
  }

  #subscriptions(): Row[] {
    return this.#disk.prepare("SELECT * FROM subscription").all();
  }

  #all(sql: string, value: Row[string] | undefined): Row[] {
    return this.#disk.prepare(sql).all(value!);
  }
}

function isStream(subscription: Row): boolean {
  return (JSON.parse(String(subscription.definition)) as SubscriptionDefinition).kind === "stream";
}

function of(sets: Map<string, Set<Seq>>, name: string): Set<Seq> {
  let set = sets.get(name);
  if (set === undefined) sets.set(name, (set = new Set()));
  return set;
}
