/**
 * What is so, kept beside Leat by simpler means: which events are on disk, who owes them to whom, which configurations
 * have held. It is told by the disk: of each commit as soon as it is there, also of one that nobody lived to hear of.
 */
import assert from "node:assert/strict";
import { LEAT_SOURCE, REPLAY_TYPE, type Seq } from "../../src/event.ts";
import type { SinkState, SubscriptionDefinition } from "../../src/journal/journal.ts";
import type { Command, Group } from "../../src/journal/sqlite/group.ts";
import type { ToWriter } from "../../src/journal/sqlite/writer-messages.ts";
import { type Configuration, type Content, type Expected, SOURCES } from "./configuration.ts";
import type { Disk } from "./disk.ts";
import { Owed } from "./owed.ts";

/** An event that is on disk, or was. */
export interface Known {
  readonly seq: Seq;
  readonly source: string;
  readonly id: string;
  readonly type: string;
  readonly subject: string | null;
  readonly key: string | null;
  readonly body: string;
  /** When it was accepted, by the wall clock. */
  readonly time: number;
  readonly cause: Seq | null;
  /** Null where the body is no sender's. */
  readonly content: Content | null;
  /** Monotonic, and how far the wall clock was from it. */
  readonly committedAt: number;
  readonly offset: number;
  /** The first configuration that it may have been looked at under. */
  readonly since: number;
}

export class Truth {
  readonly events = new Map<Seq, Known>();
  newest: Seq;
  /** By name as it is now. */
  readonly subscriptions = new Map<string, Owed>();
  /** By any name that it has had in this life. */
  readonly #aliases = new Map<string, Owed>();
  /** All that were ever taken on, oldest first; and from which on they may hold now. */
  readonly configurations: Configuration[] = [];
  holding = 0;
  /** What sinks' states were when they were last on disk, as JSON. */
  readonly sinks = new Map<string, string>();
  /** Told of each sink's state that is on disk. */
  sinkKept: (sink: string, state: SinkState) => void = () => {};
  /** The first thing that was found to be otherwise. */
  broken: unknown = null;
  readonly #disk: Disk;
  readonly #now: () => number;
  readonly #wall: () => number;
  /** When the wall clock was set last in this life (monotonic), and how far it was from the monotonic one before that. */
  readonly clock: () => { readonly steppedAt: number; readonly offset: number };
  readonly #named = new Map<string, Seq>();
  #ids = new Map<number, string>();
  #oldest: Seq;
  /** The configuration that a `reconcile` on its way came from. */
  readonly #asked = new Map<readonly SubscriptionDefinition[], Configuration>();

  constructor(
    disk: Disk,
    { now, wall }: Readonly<Record<"now" | "wall", () => number>>,
    clock: Truth["clock"],
  ) {
    this.#disk = disk;
    this.#now = now;
    this.#wall = wall;
    this.clock = clock;
    this.newest = Number(disk.all("SELECT seq FROM sqlite_sequence WHERE name = 'event'")[0]?.seq);
    this.#oldest = this.newest + 1;
  }

  /** Runs a check within a call of Leat's, which might take its failure for a receiver's. */
  holdsThat<T>(check: () => T): T {
    try {
      return check();
    } catch (error) {
      this.broken ??= error;
      throw error;
    }
  }

  /** The same where nobody takes an error. */
  looksAt(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.broken ??= error;
    }
  }

  // ---------------------------------------------------------------------------------------------- configurations

  get now(): number {
    return this.#now();
  }

  /** A configuration is taken on: it may hold from now on, beside those that hold. */
  takesOn(configuration: Configuration): void {
    this.configurations.push(configuration);
  }

  /** It holds, and no other. */
  holds(): void {
    this.holding = this.configurations.length - 1;
  }

  /** Those that may hold now. */
  inForce(): readonly Configuration[] {
    return this.configurations.slice(this.holding);
  }

  /** What a target of a route makes of an event under each configuration that may have held since it came. */
  expected(route: string, sink: string, event: Known, from = event.since): (Expected | null)[] {
    const cause = event.cause === null ? null : (this.events.get(event.cause) ?? null);
    return this.configurations.slice(from).map((each) => each.expected(route, sink, event, cause));
  }

  subscription(name: string): Owed | undefined {
    return this.#aliases.get(name) ?? this.subscriptions.get(name);
  }

  // ------------------------------------------------------------------------------------------------------ commits

  /** A message of the writer's is on disk. */
  committed(message: ToWriter): void {
    if (message.kind === "group") {
      this.#appended();
      this.#settled(message.group);
    } else if (message.kind === "command") {
      if (message.command.kind === "reconcile") this.#reconciled(message.command);
      this.#appended();
      if (message.command.kind === "replay") this.#replayed(message.command);
      if (message.command.kind === "purge") this.subscription(message.command.subscription)?.lettersPurged();
    }
  }

  /** Who has asked for these definitions. */
  asks(definitions: readonly SubscriptionDefinition[], configuration: Configuration): void {
    this.#asked.set(definitions, configuration);
  }

  #appended(): void {
    const rows = this.#disk.all(
      `SELECT seq, source.name AS source, event.id, type, subject, key, time, cause, body
       FROM event JOIN source ON source.id = event.source WHERE seq > ? ORDER BY seq`,
      this.newest,
    );
    for (const row of rows) {
      const body = Buffer.from(row.body as Uint8Array).toString();
      const source = String(row.source);
      const known: Known = {
        seq: Number(row.seq),
        source,
        id: String(row.id),
        type: String(row.type),
        subject: row.subject === null ? null : String(row.subject),
        key: row.key === null ? null : String(row.key),
        body,
        time: Number(row.time),
        cause: row.cause === null ? null : Number(row.cause),
        content: source === LEAT_SOURCE ? null : (JSON.parse(body) as Content),
        committedAt: this.#now(),
        offset: Math.round(this.#wall() - this.#now()),
        since: this.holding,
      };
      assert.equal(known.seq, this.newest + 1, "J5: seqs are dense");
      this.#name(known);
      this.newest = known.seq;
      this.events.set(known.seq, known);
      for (const owed of this.subscriptions.values()) owed.appended(known);
    }
  }

  /** Nothing is there twice: no attempt at sending it, and no id that is remembered. */
  #name({ seq, source, id, content }: Known): void {
    const names = [
      ...(isFree(id) ? [] : [`${source}/${id}`]),
      ...(isSender(source) ? [`n ${content?.n}`] : []),
    ];
    for (const name of names) {
      assert.ok(!this.#named.has(name), `${name} is there twice: ${this.#named.get(name)} and ${seq}`);
      this.#named.set(name, seq);
    }
  }

  #settled({ deltas, sinks, now }: Group): void {
    for (const delta of deltas) {
      const owed = this.subscriptions.get(this.#ids.get(delta.subscription) ?? "");
      assert.ok(owed !== undefined, `a delta of an unknown subscription ${delta.subscription}`);
      owed.settled(delta, now);
    }
    for (const { sink, state } of sinks) {
      this.sinks.set(sink, JSON.stringify(state));
      this.sinkKept(sink, state);
    }
  }

  /** Every death of a sender's event, or of a reply, has raised one event, in its own commit. */
  checkDeaths(): void {
    const raised = [...this.events.values()].filter(({ type }) => type === "leat.dead").length;
    let died = 0;
    for (const owed of this.subscriptions.values()) {
      for (const [letter, error] of owed.dead) {
        const seq = Number(letter.split("/").at(-2));
        const source = this.events.get(this.original(seq))?.source;
        if (error !== "crashed" && source !== LEAT_SOURCE) died++;
      }
    }
    assert.equal(raised, died, `${raised} events tell of ${died} deaths`);
  }

  #replayed({ seq, subscription }: Extract<Command, { kind: "replay" }>): void {
    this.subscription(subscription)?.replayed(this.original(seq));
  }

  /** What a replay's own event stands for. */
  original(seq: Seq): Seq {
    const event = this.events.get(seq);
    return event?.type === REPLAY_TYPE && event.cause !== null ? event.cause : seq;
  }

  #reconciled({ definitions }: Extract<Command, { kind: "reconcile" }>): void {
    const at = this.newest;
    const wanted = new Set(definitions.map(({ name }) => name));
    for (const definition of definitions) {
      const { name, was } = definition;
      let owed = this.subscriptions.get(name);
      if (owed === undefined && was !== null && !wanted.has(was)) {
        owed = this.subscriptions.get(was);
        this.subscriptions.delete(was);
      }
      const isNew = owed === undefined;
      owed ??= new Owed(this, definition);
      this.subscriptions.set(name, owed);
      this.#aliases.set(name, owed);
      owed.reconciled(definition, at, isNew ? [] : null, this.#kept());
    }
    for (const [name, owed] of this.subscriptions) if (!wanted.has(name)) owed.removed(at);
    this.#ids = new Map(
      this.#disk.all("SELECT id, name FROM subscription").map(({ id, name }) => [Number(id), String(name)]),
    );
  }

  /** The events that are on disk now. */
  #kept(): Known[] {
    const [row] = this.#disk.all("SELECT min(seq) AS seq FROM event");
    const oldest = typeof row?.seq === "number" ? row.seq : this.newest + 1;
    return [...this.events.values()].filter(({ seq }) => seq >= oldest);
  }

  // ------------------------------------------------------------------------------------------------------- checks

  /** A new process begins with what is on disk. */
  restarted(steady: boolean): void {
    this.#aliases.clear();
    for (const [name, owed] of this.subscriptions) {
      this.#aliases.set(name, owed);
      const [row] = this.#disk.all("SELECT * FROM subscription WHERE name = ?", name);
      assert.ok(row !== undefined, `subscription ${name} is gone`);
      const id = Number(row.id);
      const rows = this.#disk.all("SELECT seq, replay FROM delivery WHERE subscription = ?", id);
      const attempts = this.#disk.all(
        "SELECT seq, replay, count(*) AS n FROM attempt WHERE subscription = ? GROUP BY seq, replay",
        id,
      );
      const held = this.#disk.all("SELECT seq FROM dead WHERE subscription = ? AND holds IS NOT NULL", id);
      owed.restarted({
        cursor: Number(row.cursor),
        rows: new Set(rows.map(({ seq, replay }) => `${seq}/${replay}`)),
        attempts: new Map(attempts.map(({ seq, replay, n }) => [`${seq}/${replay}`, Number(n)])),
        held: new Set(held.map(({ seq }) => Number(seq))),
        steady,
      });
    }
  }

  /** J6: what retention has removed was settled by all who owed it. */
  checkRemoved(): void {
    const [row] = this.#disk.all("SELECT min(seq) AS seq FROM event");
    const oldest = typeof row?.seq === "number" ? row.seq : this.newest + 1;
    for (; this.#oldest < oldest; this.#oldest++) {
      for (const owed of this.subscriptions.values()) owed.removedFromJournal(this.#oldest);
    }
  }

  /** J3 on disk: every account's columns add up. */
  checkAccounts(): void {
    for (const account of this.#disk.all("SELECT * FROM account")) {
      for (const prefix of ["", "replay_"]) {
        const of = (state: string) => Number(account[`${prefix}${state}`]);
        const states = ["pending", "retrying", "filtered", "delivered", "dead", "expired", "purged"];
        const sum = states.reduce((total, state) => total + of(state), 0);
        assert.equal(sum, of("accepted"), `J3 on disk: ${JSON.stringify(account)}`);
        for (const state of states) assert.ok(of(state) >= 0, `J3 on disk: ${JSON.stringify(account)}`);
      }
    }
  }

  /** Whether the nth attempt at sending something is on disk, or was. */
  took(n: number): boolean {
    return this.#named.has(`n ${n}`);
  }
}

/** An id that its source doesn't remember (`dedupe: off`). */
export function isFree(id: string): boolean {
  return id.startsWith("free ");
}

function isSender(source: string): boolean {
  return (SOURCES as readonly string[]).includes(source);
}
