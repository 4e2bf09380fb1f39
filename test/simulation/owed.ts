/**
 * What one subscription owes, event by event, and how far each has come as its receiver has seen it. What is said on disk
 * (dead, expired, purged) is noted as it is committed.
 */
import assert from "node:assert/strict";
import type { Seq } from "../../src/event.ts";
import type { Counts, SubscriptionDefinition } from "../../src/journal/journal.ts";
import type { SubscriptionDelta } from "../../src/journal/sqlite/group.ts";
import type { Known, Truth } from "./truth.ts";

/** So long after a step of the wall clock nothing is expired by age. */
const GUARD_MS = 600_000;
/** What is accepted is committed within so long. */
const LATE_MS = 30_000;

/**
 * - `open`: not tried in this life, or handed back.
 * - `out`: its receiver has it.
 * - `waiting`: to be tried again, no earlier than `dueAt`.
 * - `dead`, `done`: settled in this life, or on disk.
 * - `either`: waiting or dead, which of the two can't be told from outside.
 */
export type Phase = "open" | "out" | "waiting" | "dead" | "done" | "either";

export interface Tried {
  phase: Phase;
  /** Attempts that count: those on disk when this life began, and those since. */
  attempts: number;
  /** Monotonic. */
  dueAt: number;
  firstAt: number | null;
  /** The receiver has said yes, in any life. */
  yes: boolean;
  /** Its death keeps its key, for sure, until a person acts. */
  holds: boolean;
}

interface Route {
  /** Empty while the route doesn't name it. */
  sources: readonly string[];
  readonly owed: Set<Seq>;
  /** What it accepted before it was removed it accepts no second time. */
  until: Seq;
}

/** What the disk says of the deliveries when a process begins. */
export interface OnDisk {
  readonly cursor: Seq;
  readonly rows: ReadonlySet<string>;
  readonly attempts: ReadonlyMap<string, number>;
  readonly held: ReadonlySet<Seq>;
  /** The wall clock was never set: what was to wait until a time waits until then. */
  readonly steady: boolean;
}

export class Owed {
  definition: SubscriptionDefinition;
  active = true;
  readonly routes = new Map<string, Route>();
  readonly tried = new Map<string, Tried>();
  /** Said on disk: by route and delivery. */
  readonly dead = new Map<string, string>();
  readonly expired = new Set<Seq>();
  readonly purged = new Set<Seq>();
  /** Replays that are on disk: seq/replay. */
  readonly replays = new Set<string>();
  /** What a person let go, whether or not it is on disk yet: up to here. */
  letGoThrough: Seq = 0;
  /** The same in any life. */
  everLetGoThrough: Seq = 0;
  /** The bounds of its backlog in this life: what one let go may be said on disk only when another holds. */
  #bounds: SubscriptionDefinition["backlog"][];
  readonly #truth: Truth;
  readonly #byKey = new Map<string, Seq[]>();

  constructor(truth: Truth, definition: SubscriptionDefinition) {
    this.#truth = truth;
    this.definition = definition;
    this.#bounds = [definition.backlog];
  }

  get name(): string {
    return this.definition.name;
  }

  owes(seq: Seq): boolean {
    for (const { owed } of this.routes.values()) if (owed.has(seq)) return true;
    return false;
  }

  at(seq: Seq, replay: number): Tried {
    const id = `${seq}/${replay}`;
    let tried = this.tried.get(id);
    if (tried === undefined) {
      tried = {
        phase: "open",
        attempts: 0,
        dueAt: 0,
        firstAt: null,
        yes: false,
        holds: false,
      };
      this.tried.set(id, tried);
    }
    return tried;
  }

  /** A pushed one has one route, whatever that is called. */
  #letter(route: string, seq: Seq, replay: number): string {
    return `${this.definition.kind === "pushed" ? "" : route}/${seq}/${replay}`;
  }

  // ------------------------------------------------------------------------------------------------- what is owed

  appended(event: Known): void {
    for (const route of this.routes.values())
      if (route.sources.includes(event.source)) this.#owe(route, event);
  }

  /** `fresh` null: it was there before. `kept`: the events on disk. */
  reconciled(
    definition: SubscriptionDefinition,
    at: Seq,
    fresh: readonly Known[] | null,
    kept: readonly Known[],
  ): void {
    this.#renameRoute(definition);
    const before = this.definition;
    this.definition = definition;
    this.#bounds.push(definition.backlog);
    this.active = true;
    if (before.order !== definition.order) for (const tried of this.tried.values()) tried.holds = false;
    for (const feed of definition.routes) {
      const known = this.routes.get(feed.route);
      const route: Route = known ?? { sources: [], owed: new Set(), until: 0 };
      this.routes.set(feed.route, route);
      const begins = known === undefined ? fresh !== null : known.sources.length === 0;
      route.sources = feed.sources;
      if (!begins || feed.start !== "beginning") continue;
      for (const event of kept) {
        if (event.seq <= at && event.seq > route.until && feed.sources.includes(event.source)) {
          this.#owe(route, event);
        }
      }
    }
    for (const [name, route] of this.routes) {
      if (!definition.routes.some((feed) => feed.route === name)) end(route, at);
    }
  }

  removed(at: Seq): void {
    this.active = false;
    for (const route of this.routes.values()) end(route, at);
  }

  /** A receiver that gives back has: its answer came with the settlement. */
  #checkReply(event: Known): void {
    if (event.source === "leat") return;
    assert.ok(
      answers(this.#truth.events.values(), event.seq),
      `${this.name}: the answer to ${event.seq} is lost`,
    );
  }

  #renameRoute({ kind, routes }: SubscriptionDefinition): void {
    const [only] = this.routes.entries();
    const [feed] = routes;
    if (kind !== "pushed" || only === undefined || feed === undefined || this.routes.has(feed.route)) return;
    const [name, route] = only;
    this.routes.delete(name);
    this.routes.set(feed.route, route);
  }

  #owe(route: Route, { seq, key }: Known): void {
    const known = this.owes(seq);
    route.owed.add(seq);
    if (key === null || known) return;
    const list = this.#byKey.get(key);
    if (list === undefined) this.#byKey.set(key, [seq]);
    else {
      list.push(seq);
      if (seq < list.at(-2)!) list.sort((a, b) => a - b);
    }
  }

  // ------------------------------------------------------------------------------------------- what is said on disk

  settled(delta: SubscriptionDelta, now: number): void {
    for (const { seq, replay, route, error } of delta.dead) {
      const shown = `${this.name}: ${seq}/${replay} dead of ${error}`;
      assert.notEqual(error, "event_missing", `J6: ${shown}`);
      assert.notEqual(error, "damaged_row", shown);
      assert.notEqual(error, "internal", shown);
      assert.ok(replay > 0 || this.owes(seq), `${shown}, and not owed`);
      this.dead.set(this.#letter(route, seq, replay), error);
    }
    for (const { from, to, reason } of delta.expired) {
      if (reason === "age") this.#checkAge(from, to, now);
      for (let seq = from; seq <= to; seq++) {
        if (this.owes(seq)) (reason === "purged" ? this.purged : this.expired).add(seq);
      }
    }
  }

  /**
   * J6: what is expired by age is so old, and no step of the clock has made it so. A step that came between the event and
   * the process is taken for time that went by, and an event that came while the clock was wrong has that time.
   */
  #checkAge(from: Seq, to: Seq, now: number): void {
    const { steppedAt, offset } = this.#truth.clock();
    for (let seq = from; seq <= to; seq++) {
      const event = this.#truth.events.get(seq);
      if (event === undefined || !this.owes(seq) || event.offset !== offset) continue;
      if (Math.abs(event.committedAt + event.offset - event.time) > LATE_MS) continue;
      const guarded = this.#truth.now - steppedAt < GUARD_MS;
      const age = guarded ? this.#truth.now - event.committedAt + LATE_MS : now - event.time;
      const ageMs = Math.min(...this.#bounds.map((bound) => bound.ageMs));
      assert.ok(age >= ageMs, `${this.name}: ${seq} expires after ${age} ms, of ${ageMs}`);
    }
  }

  /** Its number is found where the product puts it: behind all that there were. */
  replayed(seq: Seq): void {
    let last = 0;
    for (const id of this.replays) {
      const [of, n] = id.split("/").map(Number);
      if (of === seq) last = Math.max(last, n ?? 0);
    }
    this.replays.add(`${seq}/${last + 1}`);
  }

  /**
   * A person asks to let go all that it owes up to here; what is under way ends as it ends. Removed, it owes nothing that
   * came since; should it come back, it may.
   */
  letsGo(newest: Seq): void {
    const removedAt = Math.max(0, ...[...this.routes.values()].map(({ until }) => until));
    const through = this.active ? newest : Math.min(newest, removedAt);
    this.letGoThrough = Math.max(this.letGoThrough, through);
    this.everLetGoThrough = Math.max(this.everLetGoThrough, through);
  }

  /** A person removed the dead letters: keys that they kept go on. */
  lettersPurged(): void {
    for (const tried of this.tried.values()) tried.holds = false;
  }

  // ------------------------------------------------------------------------------------------------------ a restart

  restarted({ cursor, rows, attempts, held, steady }: OnDisk): void {
    this.letGoThrough = 0;
    this.#bounds = [this.definition.backlog];
    for (const [id, tried] of this.tried) {
      const [seq = 0, replay] = id.split("/").map(Number);
      const settled = !rows.has(id) && (replay !== 0 || seq <= cursor);
      const waited = tried.phase === "waiting" && attempts.get(id) === tried.attempts;
      tried.phase = settled ? "done" : steady && waited && rows.has(id) ? "waiting" : "open";
      tried.attempts = attempts.get(id) ?? 0;
      if (tried.attempts === 0) tried.firstAt = null;
      tried.holds = tried.holds && held.has(seq);
    }
    for (const { owed } of this.routes.values()) {
      for (const seq of owed) {
        if (seq <= cursor && !rows.has(`${seq}/0`)) this.at(seq, 0).phase = "done";
      }
    }
  }

  // --------------------------------------------------------------------------------------------------------- checks

  /** Those of its key before it that may still be waited for. */
  before(seq: Seq, key: string): Seq[] {
    const before: Seq[] = [];
    for (const other of this.#byKey.get(key) ?? []) {
      if (other >= seq) break;
      if (!this.maySettled(other)) before.push(other);
    }
    return before;
  }

  /** The one of its key that is dead and keeps it for sure. */
  heldBy(seq: Seq, key: string): Seq | null {
    for (const other of this.#byKey.get(key) ?? []) {
      if (other < seq && this.tried.get(`${other}/0`)?.holds) return other;
    }
    return null;
  }

  /** It may be settled, as far as anybody outside can tell. */
  maySettled(seq: Seq): boolean {
    const phase = this.tried.get(`${seq}/0`)?.phase;
    if (phase === "done" || phase === "dead" || phase === "either") return true;
    if (seq <= this.letGoThrough || this.expired.has(seq) || this.purged.has(seq)) return true;
    return this.unattempted(seq) || this.mayExpire;
  }

  /** Its backlog has a bound that may be reached here. */
  get mayExpire(): boolean {
    return this.definition.kind === "pushed" && this.#bounds.some(({ bytes }) => bytes < 1 << 30);
  }

  /** Some configuration filters it, or finds that nothing can be made of it. */
  unattempted(seq: Seq): boolean {
    const event = this.#truth.events.get(seq);
    if (event === undefined) return false;
    for (const [route, { owed }] of this.routes) {
      if (!owed.has(seq)) continue;
      if (
        this.#truth
          .expected(route, this.definition.sink, event)
          .some((each) => each === null || each.result !== "message")
      )
        return true;
    }
    return false;
  }

  removedFromJournal(seq: Seq): void {
    if (!this.owes(seq)) return;
    const said = [...this.routes.keys()].some((route) => this.dead.has(this.#letter(route, seq, 0)));
    const yes = this.tried.get(`${seq}/0`)?.yes === true;
    const gone = this.expired.has(seq) || this.purged.has(seq);
    assert.ok(
      said || yes || gone || this.unattempted(seq),
      `J6: ${this.name} had ${seq} to deliver: it was removed`,
    );
  }

  /** At the end: everything owed was delivered, or is said to have ended otherwise; and the counts say just that. */
  checkEnd(
    counts: readonly { readonly route: string; readonly counts: Counts; readonly replays: Counts }[],
  ): void {
    for (const [name, { owed }] of this.routes) {
      const tally = counts.find(({ route }) => route === name);
      assert.ok(tally !== undefined, `${this.name} ${name} has no account`);
      const { accepted, pending, inFlight, retrying, delivered, dead, expired, purged } = tally.counts;
      const shown = `${this.name} ${name}: ${JSON.stringify(tally.counts)}`;
      assert.equal(pending + inFlight + retrying, 0, `never ends: ${shown}`);
      assert.equal(accepted, owed.size, `J3: accepted: ${shown}`);
      let [mustDeliver, mayDeliver, died] = [0, 0, 0];
      for (const seq of owed) {
        const yes = this.tried.get(`${seq}/0`)?.yes === true;
        const said = this.dead.has(this.#letter(name, seq, 0));
        const gone = this.expired.has(seq) || this.purged.has(seq);
        const event = this.#truth.events.get(seq)!;
        const expected = this.#truth.expected(name, this.definition.sink, event);
        const filtered = expected.some((each) => each === null || each.result === "filtered");
        assert.ok(
          yes || said || gone || filtered,
          `${this.name}: ${seq} was lost: ${JSON.stringify(expected)}`,
        );
        if (said) died++;
        if (yes) mayDeliver++;
        if (yes && !said && !gone && !filtered) {
          mustDeliver++;
          if (this.definition.sink === "billing") this.#checkReply(event);
        }
      }
      assert.equal(dead, died, `J3: dead: ${shown}`);
      assert.ok(
        delivered >= mustDeliver && delivered <= mayDeliver,
        `J3: delivered ${mustDeliver} to ${mayDeliver}: ${shown}`,
      );
      assert.ok(expired <= this.expired.size && purged <= this.purged.size, `J3: let go: ${shown}`);
      const replays = tally.replays;
      assert.equal(replays.pending + replays.inFlight + replays.retrying, 0, `a replay never ends: ${shown}`);
    }
    if (this.definition.kind !== "pushed") return;
    const accepted = counts.reduce((sum, { replays }) => sum + replays.accepted, 0);
    assert.equal(accepted, this.replays.size, `replays of ${this.name}: ${[...this.replays]}`);
  }
}

function answers(events: Iterable<Known>, seq: Seq): boolean {
  for (const { cause, source } of events) if (cause === seq && source === "billing") return true;
  return false;
}

function end(route: Route, at: Seq): void {
  if (route.sources.length > 0) route.until = at;
  route.sources = [];
}
