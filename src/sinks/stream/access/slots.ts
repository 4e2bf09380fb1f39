/** How many may be connected: in all, from one address, of one user. */
import { addressBlock } from "./address.ts";
import { type Denial, later } from "./admission.ts";

export interface SlotLimits {
  readonly connections: number;
  /** Null: no bound. */
  readonly perAddress: number | null;
  readonly perUser: number | null;
}

/** Those who are over a bound of their own are asked to wait: they are let in as soon as another tab of theirs is closed. */
const OWN_RETRY_MS = 10_000;
const RETRY_MS = 1000;

export class Slots {
  readonly #limits: SlotLimits;
  readonly #byAddress = new Map<string, number>();
  readonly #byUser = new Map<string, number>();
  #taken = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes a place until the function that it gives back is called (once or more); or says why there is none. */
  take(address: string, user: string | null): (() => void) | Denial {
    const { connections, perAddress, perUser } = this.#limits;
    if (this.#taken >= connections) {
      return later(503, "try_again", "There are too many connections: try again in a moment.", RETRY_MS);
    }
    const block = perAddress === null ? null : addressBlock(address);
    if (block !== null && (this.#byAddress.get(block) ?? 0) >= (perAddress as number)) {
      return later(429, "too_many_connections", "Too many connections from this address.", OWN_RETRY_MS);
    }
    const counted = perUser === null ? null : user;
    if (counted !== null && (this.#byUser.get(counted) ?? 0) >= (perUser as number)) {
      return later(429, "too_many_connections", "Too many connections of this user.", OWN_RETRY_MS);
    }
    this.#taken++;
    count(this.#byAddress, block, 1);
    count(this.#byUser, counted, 1);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#taken--;
      count(this.#byAddress, block, -1);
      count(this.#byUser, counted, -1);
    };
  }
}

function count(counts: Map<string, number>, key: string | null, by: 1 | -1): void {
  if (key === null) return;
  const now = (counts.get(key) ?? 0) + by;
  if (now > 0) counts.set(key, now);
  else counts.delete(key);
}
