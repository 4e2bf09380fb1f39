/**
 * Which events a subscription owes, and to which of its routes: by source, and by the span of seqs in which a route had
 * that source. A reload ends spans and begins new ones at its seq, so that what was owed stays owed.
 */
import type { Seq } from "../../event.ts";
import type { Unindexed } from "../journal.ts";
import { Account } from "./account.ts";

/** Events of `sources` with `after < seq <= until`. Spans of one route don't overlap. */
export interface Span {
  readonly after: Seq;
  /** Null: no end yet. */
  readonly until: Seq | null;
  readonly sources: readonly string[];
  /** Up to here events are counted as accepted when they are first read, above it by the commit that appended them. */
  readonly counted: Seq;
}

/** One route of a subscription, as `subscription.feeds` holds it. */
export interface RouteSpans {
  readonly route: string;
  readonly spans: readonly Span[];
  /** Of a route that joined its stream later: what it owns of before that and the stream's index hasn't got from it. */
  readonly unindexed?: Past;
}

/** Events with `after < seq <= through`. */
export interface Past {
  readonly after: Seq;
  readonly through: Seq;
}

/** The accounts that an event moves, and their routes, in the definition's order. Shared by all events of a source. */
export interface Owners {
  readonly accounts: readonly Account[];
  readonly routes: readonly string[];
}

/** The index has their past from these routes, up to `through`. */
export function withIndexed(
  routes: readonly RouteSpans[],
  names: readonly string[],
  through: Seq,
): readonly RouteSpans[] {
  return routes.map(({ unindexed, ...rest }) => {
    if (unindexed === undefined) return rest;
    const after = names.includes(rest.route) ? Math.max(unindexed.after, through) : unindexed.after;
    return after < unindexed.through ? { ...rest, unindexed: { ...unindexed, after } } : rest;
  });
}

const NOBODY: Owners = { accounts: [], routes: [] };

export class Feeds {
  readonly accounts: Account[];
  #routes: readonly RouteSpans[];
  /** Above it no span begins or ends: what is there depends on the source alone. */
  #present: Seq = 0;
  /** Up to here some span is counted at reading. */
  #counted: Seq = 0;
  #bySource = new Map<string, Owners>();
  /** Owners by their routes' names, so that equal ones are one object. */
  #shared = new Map<string, Owners>();
  #sources: readonly string[] = [];

  constructor(routes: readonly RouteSpans[], accounts: readonly Account[]) {
    this.accounts = [...accounts];
    this.#routes = routes;
    this.#index();
  }

  get routes(): readonly RouteSpans[] {
    return this.#routes;
  }

  /** All sources of all spans: what to page for. */
  get sources(): readonly string[] {
    return this.#sources;
  }

  /** From now on these; accounts of routes that stay are kept. `renames`: so is the only one if its route has another name. */
  change(routes: readonly RouteSpans[], renames: boolean): void {
    const [route, ...others] = routes;
    if (renames && route !== undefined && others.length === 0 && this.only !== undefined) {
      this.only.route = route.route;
    }
    this.#routes = routes;
    this.#index();
  }

  /** The account, where there is but one. */
  get only(): Account | undefined {
    return this.accounts.length === 1 ? this.accounts[0] : undefined;
  }

  /** As `Subscription.unindexed`. */
  unindexed(known: readonly string[]): Unindexed | null {
    const wanted = this.#routes.filter((r) => r.unindexed !== undefined && known.includes(r.route));
    if (wanted.length === 0) return null;
    const pasts = wanted.flatMap(({ unindexed }) => unindexed ?? []);
    return {
      routes: wanted.map(({ route }) => route),
      after: Math.min(...pasts.map(({ after }) => after)),
      through: Math.max(...pasts.map(({ through }) => through)),
    };
  }

  indexed(names: readonly string[], through: Seq): void {
    this.#routes = withIndexed(this.#routes, names, through);
  }

  /** Who owes an event that was just appended; undefined: nobody. */
  present(source: string): Owners | undefined {
    return this.#bySource.get(source);
  }

  /** Who owes this event; undefined: nobody. */
  owners(source: string, seq: Seq): Owners | undefined {
    if (seq > this.#present) return this.#bySource.get(source);
    const owners = this.#routes.filter(({ spans }) =>
      spans.some((span) => holds(span, seq) && span.sources.includes(source)),
    );
    return owners.length === 0 ? undefined : this.#share(owners);
  }

  /** Owners for a delivery whatever its source: of a replay, or of a row whose spans are long gone. */
  all(): Owners {
    return this.#routes.length === 0 ? NOBODY : this.#share(this.#routes);
  }

  /** Those of the named routes that are there. */
  named(names: readonly string[]): Owners {
    const routes = this.#routes.filter(({ route }) => names.includes(route));
    return routes.length === 0 ? NOBODY : this.#share(routes);
  }

  /** The routes that count the event when it is read, not when it was appended; null: none. */
  historic(source: string, seq: Seq): readonly string[] | null {
    if (seq > this.#counted) return null;
    const routes = this.#routes.filter(({ spans }) =>
      spans.some((span) => holds(span, seq) && seq <= span.counted && span.sources.includes(source)),
    );
    return routes.length === 0 ? null : routes.map(({ route }) => route);
  }

  /** Some event at or above `seq` may be counted only when it is read. */
  counts(seq: Seq): boolean {
    return seq <= this.#counted;
  }

  account(route: string): Account | undefined {
    return this.accounts.find((account) => account.route === route);
  }

  #index(): void {
    const spans = this.#routes.flatMap((route) => route.spans);
    this.#present = Math.max(0, ...spans.flatMap(({ after, until }) => [after, until ?? 0]));
    this.#counted = Math.max(0, ...spans.filter((s) => s.counted > s.after).map((s) => s.counted));
    this.#sources = [...new Set(spans.flatMap((span) => span.sources))];
    this.#shared.clear();
    this.#bySource.clear();
    for (const source of this.#sources) {
      const owners = this.#routes.filter((route) =>
        route.spans.some((span) => span.until === null && span.sources.includes(source)),
      );
      if (owners.length > 0) this.#bySource.set(source, this.#share(owners));
    }
  }

  #share(routes: readonly RouteSpans[]): Owners {
    const names = routes.map(({ route }) => route);
    const key = names.join("\n");
    let owners = this.#shared.get(key);
    if (owners === undefined) {
      owners = { accounts: names.map((name) => this.#accountFor(name)), routes: names };
      this.#shared.set(key, owners);
    }
    return owners;
  }

  #accountFor(route: string): Account {
    let account = this.account(route);
    if (account === undefined) {
      account = new Account(route);
      this.accounts.push(account);
    }
    return account;
  }
}

function holds(span: Span, seq: Seq): boolean {
  return seq > span.after && (span.until === null || seq <= span.until);
}
