/** What every engine's `Ledger` and `History` owe: one suite, called with a way to open a journal. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { LeatError } from "../../src/errors.ts";
import type { NewEvent, Seq } from "../../src/event.ts";
import type {
  AttemptRecord,
  Journal,
  Lease,
  Settlement,
  Subscription,
  SubscriptionDefinition,
} from "../../src/journal/journal.ts";
import { waitFor } from "../wait-for.ts";
import { newEvent, type OpenedJournal } from "./log.ts";

const DAY = 86_400_000;

export function definition(part: Partial<SubscriptionDefinition> = {}): SubscriptionDefinition {
  const name = part.name ?? "payments/billing";
  return {
    name,
    sink: "billing",
    kind: "pushed",
    routes: [{ route: name.split("/")[0]!, sources: ["stripe"], start: "now" }],
    order: "key",
    onDead: "skip",
    concurrency: 4,
    backlog: { ageMs: 4 * DAY, bytes: 1e9 },
    was: null,
    ...part,
  };
}

export function attempt(outcome: AttemptRecord["outcome"]): AttemptRecord {
  const status = outcome === "delivered" ? 200 : 500;
  return { at: Date.now(), ms: 3, outcome, status, error: null, message: null, answer: Buffer.from("ok") };
}

const delivered: Settlement = { outcome: "delivered", attempt: attempt("delivered") };
const dead: Settlement = { outcome: "dead", attempt: attempt("dead"), error: "status", message: "500" };
const retry = (delayMs: number): Settlement => ({ outcome: "retry", delayMs, attempt: attempt("retry") });

export function ledgerConformance(engine: string, open: () => Promise<OpenedJournal>): void {
  describe(`ledger of ${engine}`, () => {
    let opened: OpenedJournal;
    let journal: Journal;
    beforeEach(async () => {
      opened = await open();
      journal = opened.journal;
    });
    afterEach(() => opened.close());

    const reopen = async () => {
      opened = await opened.reopen();
      journal = opened.journal;
    };
    const append = async (part: Partial<NewEvent> = {}): Promise<Seq> =>
      (await journal.log.append(newEvent({ source: "stripe", ...part }), DAY)).seq;
    const subscribe = async (...definitions: SubscriptionDefinition[]): Promise<Subscription> => {
      await journal.ledger.reconcile(definitions);
      return found(definitions[0]!.name);
    };
    const found = (name = "payments/billing"): Subscription => {
      const subscription = journal.ledger.subscription(name);
      assert.ok(subscription !== undefined, `no subscription ${name}`);
      return subscription;
    };
    /** Leases until there are as many. */
    const lease = async (subscription: Subscription, count: number): Promise<Lease[]> => {
      const leases: Lease[] = [];
      await waitFor(`${count} leases`, () => {
        leases.push(...subscription.lease(count - leases.length));
        return leases.length === count;
      });
      return leases;
    };
    const one = async (subscription: Subscription): Promise<Lease> => (await lease(subscription, 1))[0]!;
    const seqs = (leases: readonly Lease[]) => leases.map(({ event }) => event.seq);
    const counts = (subscription: Subscription) => subscription.counts()[0]!.counts;
    const refused = (code: string) => (error: unknown) => {
      assert.ok(error instanceof LeatError, String(error));
      assert.equal(error.kind, "refused");
      assert.equal(error.code, code);
      return true;
    };

    test("J3: each outcome is counted, and the counts add up at any moment", async () => {
      const subscription = await subscribe(definition());
      const check = () => {
        const { accepted, ...rest } = counts(subscription);
        const sum = Object.values(rest).reduce((a, b) => a + b, 0);
        assert.equal(sum, accepted, JSON.stringify(counts(subscription)));
      };
      for (let n = 0; n < 5; n++) await append();
      await append({ source: "github" });
      assert.equal(counts(subscription).accepted, 5);
      const [first, second, third, fourth] = await lease(subscription, 4);
      check();
      assert.equal(counts(subscription).inFlight, 4);
      assert.equal(counts(subscription).pending, 1);
      const settled = [
        subscription.settle(first!, delivered),
        subscription.settle(second!, { outcome: "filtered", attempt: null }),
        subscription.settle(third!, dead),
        subscription.settle(fourth!, retry(DAY)),
      ];
      check();
      assert.equal(counts(subscription).inFlight, 4, "in flight until the settlement is committed");
      await Promise.all(settled);
      check();
      const { delivered: yes, filtered, dead: no, retrying, pending, inFlight } = counts(subscription);
      assert.deepEqual([yes, filtered, no, retrying, pending, inFlight], [1, 1, 1, 1, 1, 0]);
      await reopen();
      assert.deepEqual(counts(found()), {
        accepted: 5,
        pending: 1,
        inFlight: 0,
        retrying: 1,
        filtered: 1,
        delivered: 1,
        dead: 1,
        expired: 0,
        purged: 0,
      });
    });

    test("J4: what was handed out and not settled comes again after a restart, with the same id", async () => {
      const subscription = await subscribe(definition());
      await append({ id: "evt_1" });
      await append({ id: "evt_2" });
      const [first, second] = await lease(subscription, 2);
      await subscription.settle(second!, delivered);
      await reopen();
      const again = await one(found());
      assert.equal(again.event.seq, first!.event.seq);
      assert.equal(again.event.id, "evt_1");
      assert.deepEqual(found().lease(10), []);
    });

    test("J7: a waiting retry comes back with its attempts and its time", async () => {
      const subscription = await subscribe(definition());
      await append();
      const first = await one(subscription);
      assert.equal(first.attempt, 1);
      assert.equal(first.firstAttemptAt, null);
      const began = attempt("retry");
      await subscription.settle(first, { outcome: "retry", delayMs: 400, attempt: began });
      assert.deepEqual(subscription.lease(10), []);
      await reopen();
      const again = await one(found());
      assert.ok(Date.now() - began.at >= 390, "not before its time");
      assert.equal(again.attempt, 2);
      assert.equal(again.firstAttemptAt, began.at);
      assert.deepEqual(again.event.body, first.event.body, "J8: the stored event");
    });

    test("J7: a sink's state comes back, its hold no longer than it was meant to be", async () => {
      await subscribe(definition());
      const state = {
        hold: { until: Date.now() + 3_600_000_000, ms: 5000 },
        paused: "410 Gone",
        breaker: { failures: 10, openUntil: Date.now() + 1000, waitMs: 5000 },
      };
      journal.ledger.setSinkState("billing", state);
      assert.deepEqual(journal.ledger.sinkState("billing"), state, "it takes effect at once");
      await reopen();
      const { hold, paused, breaker } = journal.ledger.sinkState("billing");
      assert.ok(hold !== null && hold.until <= Date.now() + 5000);
      assert.equal(paused, "410 Gone");
      assert.equal(breaker?.failures, 10);
      assert.deepEqual(journal.ledger.sinkState("other"), { hold: null, paused: null, breaker: null });
    });

    test("order: key hands out one of a key at a time, and others meanwhile", async () => {
      const subscription = await subscribe(definition());
      const a1 = await append({ key: "a" });
      const a2 = await append({ key: "a" });
      const b1 = await append({ key: "b" });
      const free = await append();
      const leases = await lease(subscription, 3);
      assert.deepEqual(seqs(leases), [a1, b1, free]);
      assert.deepEqual(subscription.lease(10), []);
      await subscription.settle(leases[0]!, retry(DAY));
      assert.deepEqual(subscription.lease(10), [], "a waits for its head's retry");
      await subscription.settle(leases[1]!, delivered);
      await subscription.settle(leases[2]!, delivered);
      assert.equal(await journal.ledger.purge("payments/billing", "owed"), 2);
      const a3 = await append({ key: "a" });
      assert.deepEqual(seqs([await one(subscription)]), [a3], `${a2} was purged`);
    });

    test("after a death the key goes on (on_dead: skip), or waits for a person (hold)", async () => {
      const [skip, hold] = [definition(), definition({ name: "audit/log", onDead: "hold" })];
      await subscribe(skip, hold);
      const [first, second] = [await append({ key: "a" }), await append({ key: "a" })];
      const skipping = await one(found());
      await found().settle(skipping, dead);
      assert.deepEqual(seqs([await one(found())]), [second]);

      await found("audit/log").settle(await one(found("audit/log")), dead);
      assert.deepEqual(found("audit/log").lease(10), []);
      await reopen();
      assert.deepEqual(found("audit/log").lease(10), [], "also after a restart");
      const { replay } = await journal.ledger.replay(first, "audit/log");
      assert.equal(replay, 1);
      const replayed = await one(found("audit/log"));
      assert.deepEqual([replayed.event.seq, replayed.replay], [first, 1]);
      await found("audit/log").settle(replayed, delivered);
      assert.deepEqual(seqs([await one(found("audit/log"))]), [second], "the replay let the key go");
    });

    test("purging dead letters lets held keys go", async () => {
      const subscription = await subscribe(definition({ onDead: "hold" }));
      await append({ key: "a" });
      const second = await append({ key: "a" });
      await subscription.settle(await one(subscription), dead);
      assert.equal(await journal.ledger.purge("payments/billing", "dead"), 1);
      assert.deepEqual(await journal.ledger.dead({ limit: 10 }), []);
      assert.deepEqual(seqs([await one(subscription)]), [second]);
    });

    test("what dies while dead letters are being purged keeps its key", async () => {
      const subscription = await subscribe(definition({ onDead: "hold" }));
      await append({ key: "a" });
      const second = await append({ key: "a" });
      const first = await one(subscription);
      const purged = journal.ledger.purge("payments/billing", "dead");
      const died = subscription.settle(first, dead);
      assert.equal(await purged, 0);
      await died;
      assert.deepEqual(subscription.lease(10), []);
      assert.equal(await journal.ledger.purge("payments/billing", "dead"), 1);
      assert.deepEqual(seqs([await one(subscription)]), [second]);
    });

    test("a stream replays one event as often as it is asked to, each time as an event with an id of its own", async () => {
      const stream = definition({ name: "browser", kind: "stream", order: "seq" });
      const subscription = await subscribe({
        ...stream,
        routes: [{ route: "toast", sources: ["stripe"], start: "now" }],
      });
      const seq = await append();
      const delivered = { outcome: "streamed", attempt: null, routes: [{ outcome: "delivered" }] } as const;
      await subscription.settle(await one(subscription), delivered);
      for (let n = 0; n < 2; n++) {
        await journal.ledger.replay(seq, "browser");
        await subscription.settle(await one(subscription), delivered);
      }
      const [first, second] = [await journal.log.get(seq + 1), await journal.log.get(seq + 2)];
      assert.deepEqual([first?.type, second?.type], ["leat.replay", "leat.replay"]);
      assert.notEqual(first?.id, second?.id);
    });

    test("never more than concurrency is out; what is released comes again first", async () => {
      const subscription = await subscribe(definition({ concurrency: 2, order: "none" }));
      const all = [await append({ key: "a" }), await append({ key: "a" }), await append()];
      const leases = await lease(subscription, 2);
      assert.deepEqual(seqs(leases), all.slice(0, 2));
      assert.deepEqual(subscription.lease(10), []);
      subscription.release(leases[1]!);
      assert.deepEqual(seqs(subscription.lease(10)), [all[1]]);
      assert.throws(() => subscription.release(leases[1]!), "a lease ends once");
    });

    test("order: seq hands out strictly by seq", async () => {
      const stream = definition({ name: "browser", kind: "stream", order: "seq", concurrency: 2 });
      const routes = ["toast", "hot"].map((route) => ({
        route,
        sources: route === "hot" ? ["stripe", "sensors"] : ["stripe"],
        start: "now" as const,
      }));
      const subscription = await subscribe({ ...stream, routes });
      const first = await append();
      const second = await append({ source: "sensors" });
      const leases = await lease(subscription, 2);
      assert.deepEqual(seqs(leases), [first, second]);
      assert.deepEqual(
        leases.map((each) => each.routes),
        [["toast", "hot"], ["hot"]],
      );
      await subscription.settle(leases[0]!, {
        outcome: "streamed",
        attempt: null,
        routes: [{ outcome: "delivered" }, { outcome: "dead", error: "channel", message: "null" }],
      });
      await subscription.settle(leases[1]!, {
        outcome: "streamed",
        attempt: null,
        routes: [{ outcome: "filtered" }],
      });
      const [toast, hot] = subscription.counts();
      assert.deepEqual([toast!.route, toast!.counts.accepted, toast!.counts.delivered], ["toast", 1, 1]);
      assert.deepEqual([hot!.route, hot!.counts.accepted, hot!.counts.dead], ["hot", 2, 1]);
      assert.equal(hot!.counts.filtered, 1);
      const [letter] = await journal.ledger.dead({ subscription: "browser", limit: 10 });
      assert.deepEqual([letter?.route, letter?.event.seq], ["hot", first]);
    });

    test("a replay into a stream is the same event at a new seq", async () => {
      const stream = definition({ name: "browser", kind: "stream", order: "seq" });
      const subscription = await subscribe(stream);
      const seq = await append({ id: "evt_1", type: "paid" });
      const streamed: Settlement = { outcome: "streamed", attempt: null, routes: [{ outcome: "delivered" }] };
      await subscription.settle(await one(subscription), streamed);
      await journal.ledger.replay(seq, "browser");
      const again = await one(subscription);
      assert.ok(again.event.seq > seq);
      assert.deepEqual([again.event.id, again.event.type, again.replay], ["evt_1", "paid", 1]);
      await subscription.settle(again, streamed);
      const [{ counts: originals, replays }] = subscription.counts() as [
        ReturnType<typeof subscription.counts>[0],
      ];
      assert.deepEqual([originals.accepted, originals.delivered], [1, 1]);
      assert.deepEqual([replays.accepted, replays.delivered], [1, 1], "counted apart");
    });

    test("dead letters keep the event and its cause; a replay is counted apart and numbered", async () => {
      const subscription = await subscribe(definition());
      const cause = await append({ source: "github", id: "cause" });
      const seq = await append({ id: "evt_1", cause, body: Buffer.from("paid") });
      const first = await one(subscription);
      assert.equal(first.cause?.id, "cause");
      await subscription.settle(first, dead);
      const [letter] = await journal.ledger.dead({ subscription: "payments/billing", limit: 10 });
      assert.ok(letter !== undefined);
      assert.equal(letter.event.seq, seq);
      assert.equal(letter.cause?.seq, cause);
      assert.deepEqual([letter.route, letter.error, letter.attempts], ["payments", "status", 1]);
      assert.equal(Buffer.from(letter.event.body).toString(), "paid");
      for (const replay of [1, 2]) {
        assert.deepEqual(await journal.ledger.replay(seq, "payments/billing"), { replay });
        const again = await one(subscription);
        assert.deepEqual([again.event.id, again.replay, again.attempt], ["evt_1", replay, 1]);
        await subscription.settle(again, replay === 1 ? dead : delivered);
      }
      assert.equal(counts(subscription).dead, 1);
      const { replays } = subscription.counts()[0]!;
      assert.deepEqual([replays.accepted, replays.dead, replays.delivered], [2, 1, 1]);
    });

    test("a replay of what isn't there, or to nobody, is refused", async () => {
      await subscribe(definition());
      await assert.rejects(journal.ledger.replay(1, "payments/billing"), refused("unknown_event"));
      const seq = await append();
      await assert.rejects(journal.ledger.replay(seq, "payments/nobody"), refused("unknown_subscription"));
      await assert.rejects(journal.ledger.purge("nobody", "owed"), refused("unknown_subscription"));
    });

    test("what a settlement raises is appended in its commit", async () => {
      const subscription = await subscribe(definition());
      const seq = await append();
      const reply = newEvent({ source: "billing", id: `${seq}/payments/billing`, cause: seq });
      await subscription.settle(await one(subscription), { ...delivered, raises: [reply] });
      const { newest } = journal.log.bounds();
      const kept = await journal.log.get(newest);
      assert.deepEqual([kept?.id, kept?.cause], [reply.id, seq]);
    });

    test("a new subscription starts now, at the beginning, or at a time", async () => {
      const old = await append({ time: Date.now() - 10_000 });
      const recent = await append({ time: Date.now() - 1000 });
      const starts = ["now", "beginning", Date.now() - 5000] as const;
      const all = starts.map((start, n) =>
        definition({ name: `r${n}/s`, routes: [{ route: `r${n}`, sources: ["stripe"], start }] }),
      );
      await subscribe(...all);
      const next = await append();
      const got = await Promise.all([
        lease(found("r0/s"), 1),
        lease(found("r1/s"), 3),
        lease(found("r2/s"), 2),
      ]);
      assert.deepEqual(got.map(seqs), [[next], [old, recent, next], [recent, next]]);
      for (const [n, leases] of got.entries()) {
        const subscription = found(`r${n}/s`);
        await Promise.all(leases.map((each) => subscription.settle(each, delivered)));
        const { accepted, delivered: yes } = counts(subscription);
        assert.deepEqual([accepted, yes], [leases.length, leases.length]);
      }
    });

    test("a route that joins a stream owns the past for its index alone, and what the index has got of it is remembered", async () => {
      const stream = (...routes: SubscriptionDefinition["routes"]) =>
        definition({ name: "live", kind: "stream", order: "seq", routes });
      const on = { route: "on", sources: ["stripe"], start: "now" as const };
      const joined = { route: "joined", sources: ["github"], start: "beginning" as const };
      const past = [await append({ source: "github" }), await append({ source: "github" })];
      const live = await subscribe(stream(on));
      const seq = await append();
      const settled = { outcome: "streamed", attempt: null, routes: [{ outcome: "delivered" }] } as const;
      await live.settle(await one(live), settled);
      await journal.ledger.reconcile([stream(on, joined)]);
      const wanted = { routes: ["joined"], after: past[0]! - 1, through: seq };
      assert.deepEqual(live.unindexed(["on", "joined"]), wanted);
      assert.equal(live.unindexed(["on"]), null, "for those alone that are asked for");
      const page = await live.reread(wanted.after, 0);
      assert.deepEqual(
        page.deliveries.map(({ event, routes }) => [event.seq, routes]),
        [...past.map((each) => [each, ["joined"]]), [seq, ["on"]]],
      );
      assert.deepEqual(live.lease(10), [], "nothing of it is handed out");
      live.indexed(["joined"], past[0]!);
      await reopen();
      assert.deepEqual(found("live").unindexed(["joined"]), { ...wanted, after: past[0] });
      await journal.ledger.reconcile([stream(on, joined)]);
      assert.deepEqual(
        found("live").unindexed(["joined"]),
        { ...wanted, after: past[0] },
        "a reload keeps it",
      );
      found("live").indexed(["joined"], seq);
      assert.equal(found("live").unindexed(["joined"]), null);
      await reopen();
      assert.equal(found("live").unindexed(["joined"]), null);
      assert.deepEqual(
        found("live")
          .counts()
          .map(({ counts: { accepted, pending } }) => [accepted, pending]),
        [
          [1, 0],
          [0, 0],
        ],
        "J3",
      );
      const next = await append({ source: "github" });
      assert.deepEqual((await one(found("live"))).event.seq, next);
    });

    test("a removed route owes what it owed, until it is added back or purged", async () => {
      const subscription = await subscribe(definition());
      const owed = await append();
      const report = await journal.ledger.reconcile([]);
      assert.deepEqual(report.removed, [{ name: "payments/billing", owed: 1 }]);
      assert.equal(subscription.active, false);
      assert.deepEqual(subscription.lease(10), []);
      await append();
      assert.equal(counts(subscription).accepted, 1, "it accepts nothing more");
      await reopen();
      assert.equal(found().active, false);
      const back = await journal.ledger.reconcile([definition()]);
      assert.deepEqual(back.resumed, ["payments/billing"]);
      const next = await append();
      assert.deepEqual(seqs(await lease(found(), 2)), [owed, next]);
      await journal.ledger.reconcile([]);
      assert.equal(await journal.ledger.purge("payments/billing", "owed"), 0, "both are in flight");
    });

    test("purge settles all that is owed, and says how much", async () => {
      await subscribe(definition());
      for (let n = 0; n < 7; n++) await append({ key: "a" });
      await journal.ledger.reconcile([]);
      assert.equal(await journal.ledger.purge("payments/billing", "owed"), 7);
      const { accepted, pending, purged } = counts(found());
      assert.deepEqual([accepted, pending, purged], [7, 0, 7]);
      const { newest } = journal.log.bounds();
      const [history] = await journal.history.deliveries(newest);
      assert.equal(history?.state, "purged");
      assert.equal(found().lag(), null);
    });

    test("was carries a renamed subscription's place over", async () => {
      await subscribe(definition());
      const owed = await append();
      const renamed = definition({ name: "invoices/billing", was: "payments/billing" });
      const report = await journal.ledger.reconcile([renamed]);
      assert.deepEqual([report.added, report.removed], [[], []]);
      assert.equal(journal.ledger.subscription("payments/billing"), undefined);
      const subscription = found("invoices/billing");
      const again = await one(subscription);
      assert.deepEqual([again.event.seq, again.routes], [owed, ["invoices"]]);
      await subscription.settle(again, delivered);
      assert.deepEqual(subscription.counts()[0]?.route, "invoices");
      await reopen();
      assert.equal(counts(found("invoices/billing")).delivered, 1);
    });

    test("J3: a renamed subscription goes on counting where it was, also what was in flight by its former name", async () => {
      const before = await subscribe(definition());
      for (let n = 0; n < 3; n++) await append();
      await before.settle(await one(before), delivered);
      const [inFlight] = await lease(before, 1);
      await journal.ledger.reconcile([definition({ name: "invoices/billing", was: "payments/billing" })]);
      const subscription = found("invoices/billing");
      await subscription.settle(inFlight!, delivered);
      const { accepted, pending, inFlight: out, delivered: yes } = counts(subscription);
      assert.deepEqual([accepted, pending, out, yes], [3, 1, 0, 2]);
      await reopen();
      assert.equal(counts(found("invoices/billing")).delivered, 2);
    });

    test("whose an event was a stream can tell as long as there is the event, whatever reloads came since", async () => {
      const stream = (sources: string[]) =>
        definition({
          ...{ name: "browser", kind: "stream", order: "seq" },
          routes: [{ route: "toast", sources, start: "now" }],
        });
      const subscription = await subscribe(stream(["stripe"]));
      const seq = await append();
      await subscription.settle(await one(subscription), {
        outcome: "streamed",
        attempt: null,
        routes: [{ outcome: "delivered" }],
      });
      for (const other of ["github", "gitlab"]) {
        await journal.ledger.reconcile([stream(["stripe", other])]);
        await subscription.settle(await append().then(() => one(subscription)), {
          outcome: "streamed",
          attempt: null,
          routes: [{ outcome: "delivered" }],
        });
      }
      const { deliveries } = await subscription.reread(seq - 1, 0);
      assert.deepEqual([deliveries[0]?.event.seq, deliveries[0]?.routes], [seq, ["toast"]]);
    });

    test("a changed definition takes effect at one seq", async () => {
      const subscription = await subscribe(definition());
      const before = await append({ source: "github" });
      const routes = [{ route: "payments", sources: ["stripe", "github"], start: "now" as const }];
      await journal.ledger.reconcile([definition({ routes })]);
      const after = await append({ source: "github" });
      assert.deepEqual(seqs(await lease(subscription, 1)), [after], `${before} was before`);
      assert.equal(counts(subscription).accepted, 1);
    });

    test("J6: a backlog beyond its bytes loses its oldest events, visibly", async () => {
      const subscription = await subscribe(definition({ backlog: { ageMs: DAY, bytes: 5000 } }));
      const all: Seq[] = [];
      for (let n = 0; n < 20; n++) all.push(await append({ body: Buffer.alloc(936) }));
      await waitFor("an expiry", () => counts(subscription).expired > 0);
      const { accepted, pending, expired } = counts(subscription);
      assert.equal(pending + expired, accepted);
      assert.ok(pending >= 3 && pending <= 5, `${pending} are left`);
      assert.equal((await journal.history.deliveries(all[0]!))[0]?.state, "expired");
      assert.equal((await journal.history.deliveries(all[19]!))[0]?.state, "pending");
      assert.deepEqual(seqs(await lease(subscription, 3)), all.slice(expired, expired + 3));
    });

    test("history tells the state and the attempts of each delivery", async () => {
      await subscribe(definition(), definition({ name: "audit/log" }));
      const seq = await append({ key: "a" });
      const parked = await append({ key: "a" });
      const free = await append();
      const [head, other] = await lease(found(), 2);
      await found().settle(head!, retry(DAY));
      const state = async (of: Seq) =>
        (await journal.history.deliveries(of)).map((each) => [each.subscription, each.state]);
      assert.deepEqual(await state(seq), [
        ["audit/log", "pending"],
        ["payments/billing", "retrying"],
      ]);
      const [, entry] = await journal.history.deliveries(seq);
      assert.equal(entry?.attempts.length, 1);
      assert.equal(entry?.attempts[0]?.status, 500);
      assert.ok(entry?.dueAt !== null && (entry?.dueAt ?? 0) > Date.now());
      const leases = await lease(found("audit/log"), 2);
      for (const each of leases) await found("audit/log").settle(each, delivered);
      assert.deepEqual(seqs(leases), [seq, free]);
      assert.deepEqual(await state(free), [
        ["audit/log", "settled"],
        ["payments/billing", "pending"],
      ]);
      // The cursor passes what waits for its key once something behind it is settled.
      await found().settle(other!, delivered);
      assert.deepEqual((await state(parked))[1], ["payments/billing", "parked"]);
    });

    test("lag is the age and the bytes of what is unsettled", async () => {
      const subscription = await subscribe(definition());
      assert.equal(subscription.lag(), null);
      const time = Date.now() - 5000;
      await append({ time, body: Buffer.alloc(1000) });
      assert.equal(subscription.lag()?.oldestAt, time);
      await waitFor("the bytes", () => (subscription.lag()?.bytes ?? 0) >= 1000);
      await subscription.settle(await one(subscription), delivered);
      assert.equal(subscription.lag(), null);
    });

    test("onReady tells that there is something to lease", async () => {
      const subscription = await subscribe(definition());
      let told = 0;
      subscription.onReady(() => told++);
      await waitFor("onReady", () => told > 0);
      const before = told;
      await append();
      await waitFor("onReady", () => told > before);
      assert.equal(subscription.lease(1).length, 1);
    });

    test("far behind, a subscription pages through the journal and loses nothing", async () => {
      const subscription = await subscribe(definition({ concurrency: 50 }));
      const all = await Promise.all(
        Array.from({ length: 3000 }, (_, n) => append({ key: n % 4 === 0 ? `k${n % 20}` : null })),
      );
      await reopen();
      const seen = new Set<Seq>();
      await waitFor("all to be seen", () => {
        for (const each of found().lease(50)) {
          seen.add(each.event.seq);
          void found().settle(each, delivered);
        }
        return seen.size === all.length;
      });
      assert.equal(subscription.definition.name, found().definition.name);
      await waitFor("the commit", () => counts(found()).delivered === all.length);
    });
  });
}
