/** The senders: what they send, what they are told, and what that has to mean. */
import assert from "node:assert/strict";
import type { Appended } from "../../src/component.ts";
import { LeatError } from "../../src/errors.ts";
import { type NewEvent, NO_HEADERS } from "../../src/event.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";
import { COLORS, SOURCES } from "./configuration.ts";
import type { Life } from "./life.ts";
import { isFree, type Truth } from "./truth.ts";

const DEDUPE_MS = 3 * 86_400_000;
/** With these nothing is on disk; with any other it may be. */
const REFUSALS = ["journal_full", "journal_busy", "event_refused"];

/** One append that was tried, and what was said about it. */
interface Sent {
  readonly event: NewEvent;
  said: "waiting" | "refused" | "unknown" | Appended;
}

export class Senders {
  readonly sent: Sent[] = [];
  readonly #truth: Truth;
  readonly #chance: SeededChance;

  constructor(truth: Truth, chance: SeededChance) {
    this.#truth = truth;
    this.#chance = chance;
  }

  send(life: Life): void {
    const event = this.#event(life.clock.wall());
    const sent: Sent = { event, said: "waiting" };
    this.sent.push(sent);
    life.journal.log.append(event, isFree(event.id) ? null : DEDUPE_MS).then(
      (appended) => {
        if (life.ended) return;
        sent.said = appended;
        this.#truth.looksAt(() => this.#told(sent, appended));
      },
      (error: unknown) => {
        if (life.ended) return;
        this.#truth.looksAt(() => assert.ok(error instanceof LeatError, String(error)));
        sent.said = REFUSALS.includes((error as LeatError).code) ? "refused" : "unknown";
      },
    );
  }

  #event(time: number): NewEvent {
    const chance = this.#chance;
    const n = this.sent.length;
    const list = Array.from({ length: 1 + chance.below(3) }, () => chance.below(6));
    const content = { n, color: chance.pick(COLORS), level: chance.below(10), list };
    return {
      source: chance.pick(SOURCES),
      id: chance.pick([`again ${chance.below(5)}`, `free ${chance.below(5)}`, ...Array(8).fill(`id ${n}`)]),
      type: "t",
      subject: null,
      key: chance.pick([null, null, "k1", "k2", "k3"]),
      time,
      headers: NO_HEADERS,
      body: Buffer.from(JSON.stringify(content)),
      hops: 0,
      cause: null,
    };
  }

  /** Something comes that isn't taken. */
  bother(life: Life): void {
    const address = `10.0.0.${this.#chance.below(5)}`;
    const refusal = { source: "orders", reason: "signature", address, detail: "no", body: null };
    life.journal.history.refuse(refusal);
  }

  /** J1: what is said yes to is on disk; a duplicate names the one it repeats. */
  #told({ event }: Sent, { seq, duplicate, differs }: Appended): void {
    const known = this.#truth.events.get(seq);
    const name = `${event.source}/${event.id}`;
    assert.equal(`${known?.source}/${known?.id}`, name, `J1: ${name} was acknowledged as ${seq}`);
    const same = known?.body === Buffer.from(event.body).toString();
    assert.equal(differs, duplicate && !same, `J1: ${seq} is a duplicate that differs`);
    if (!duplicate) assert.ok(same, `J1: ${seq} has another body`);
  }

  /** J2: what was refused, or called a duplicate, isn't there; J1: what was taken is, or was. */
  check(): void {
    for (const [n, { event, said }] of this.sent.entries()) {
      if (said === "waiting" || said === "unknown") continue;
      const taken = said !== "refused" && !said.duplicate;
      const shown = `${event.source}/${event.id} was ${JSON.stringify(said)}`;
      assert.equal(this.#truth.took(n), taken, `J1, J2: ${shown}`);
    }
  }
}
