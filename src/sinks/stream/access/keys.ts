/** The keys that tokens are checked with: from the configuration, or from a key set (JWKS, RFC 7517) that is fetched. */
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWSHeaderParameters,
} from "jose";
import type { Clock, Logger } from "../../../ports.ts";
import type { Outside } from "./outside.ts";

/** Keys for a token's header, the likeliest first; empty: there is none. `unavailable`: nobody can say now. */
export type FoundKeys = readonly (CryptoKey | KeyObject)[] | "unavailable";

export interface KeySource {
  start(): void;
  stop(): Promise<void>;
  find(header: JWSHeaderParameters): Promise<FoundKeys>;
}

/** A token is tried with so many keys at most: a set may hold many that fit where it names none by `kid`. */
const MOST_TRIED = 8;

/** Node's names of key types for the families of algorithms; RFC 7518 (3.1), RFC 8037, RFC 9864. */
const KEY_TYPE: readonly (readonly [RegExp, string])[] = [
  [/^HS/, "secret"],
  [/^(?:RS|PS)/, "rsa"],
  [/^ES/, "ec"],
  [/^Ed/, "ed25519"],
];

/** Which of Node's key types an algorithm needs. */
export function keyTypeOf(algorithm: string): string | undefined {
  return KEY_TYPE.find(([family]) => family.test(algorithm))?.[1];
}

export function typeOfKey(key: KeyObject): string {
  return key.type === "secret" ? "secret" : (key.asymmetricKeyType ?? "");
}

/** Secrets or public keys that the configuration holds: several while one is being replaced. */
export function fixedKeys(secrets: readonly string[], pems: readonly string[]): KeySource {
  const keys = [
    ...secrets.map((secret) => createSecretKey(Buffer.from(secret))),
    ...pems.map((pem) => createPublicKey(pem)),
  ];
  return {
    start: () => {},
    stop: async () => {},
    // A key is only ever used for its own kind of algorithm: a public one is no shared secret.
    find: async ({ alg = "" }) =>
      keys.filter((key) => typeOfKey(key) === keyTypeOf(alg)).slice(0, MOST_TRIED),
  };
}

export interface RemoteKeysOptions {
  readonly outside: Outside;
  readonly clock: Clock;
  readonly log: Logger;
  /** How old a set may be before it is fetched again, ms. */
  readonly refreshMs: number;
  /** Between two fetches, ms: tokens with made-up key names can't have us ask more often. */
  readonly cooldownMs: number;
}

const MOST_KEYS = 100;
/** Who may wait for the next fetch; a flood of made-up key names fills it, and nothing else. */
const MOST_WAITING = 1000;

type Find = ReturnType<typeof createLocalJWKSet>;

/**
 * A set that is fetched. While its endpoint doesn't answer, the last good one is used. A token whose key isn't in it has it
 * fetched anew (a key was added), and waits for that: told no at once, a reader would be turned away for good.
 */
export class RemoteKeys implements KeySource {
  readonly #options: RemoteKeysOptions;
  #find: Find | null = null;
  /** Monotonic: when the set was last fetched with success, and last tried. */
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failing = false;
  #next: Promise<void> | null = null;
  #cancelWait: () => void = () => {};
  #waiting = 0;
  #stopped = false;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  /** The first fetch; nothing waits for it but the first readers. */
  start(): void {
    void this.#fetchSoon();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelWait();
    await this.#options.outside.close();
  }

  async find(header: JWSHeaderParameters): Promise<FoundKeys> {
    if (this.#find === null && !(await this.#wait())) return "unavailable";
    if (this.#find === null) return "unavailable";
    if (this.#now() - this.#fetchedAt > this.#options.refreshMs) void this.#fetchSoon();
    const keys = await select(this.#find, header);
    if (keys.length > 0) return keys;
    const before = this.#fetchedAt;
    if (!(await this.#wait())) return "unavailable";
    // The set that we have may be older than the token's key.
    return this.#fetchedAt === before ? "unavailable" : select(this.#find, header);
  }

  /** For the next fetch to end; false: too many do already. */
  async #wait(): Promise<boolean> {
    if (this.#waiting >= MOST_WAITING || this.#stopped) return false;
    this.#waiting++;
    await this.#fetchSoon();
    this.#waiting--;
    return true;
  }

  /** One for all who ask meanwhile, no sooner than `cooldownMs` after the last. */
  #fetchSoon(): Promise<void> {
    this.#next ??= this.#pause(this.#triedAt + this.#options.cooldownMs - this.#now())
      .then(() => this.#fetch())
      .finally(() => {
        this.#next = null;
      });
    return this.#next;
  }

  #pause(ms: number): Promise<void> {
    if (!(ms > 0)) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#cancelWait = () => {
        cancel();
        resolve();
      };
    });
  }

  async #fetch(): Promise<void> {
    if (this.#stopped) return;
    const { outside, log } = this.#options;
    this.#triedAt = this.#now();
    const answer = await outside.ask("GET", { accept: "application/jwk-set+json, application/json" });
    if (this.#stopped) return;
    const find = answer.ok && answer.status === 200 ? keySet(answer.body) : null;
    if (find !== null) {
      if (this.#failing) log.info({}, "the key set is there again");
      this.#failing = false;
      this.#find = find;
      this.#fetchedAt = this.#now();
      return;
    }
    if (this.#failing) return;
    this.#failing = true;
    const error = answer.ok
      ? answer.status === 200
        ? "malformed"
        : `status ${answer.status}`
      : answer.fault;
    const has = this.#find !== null;
    log.warn({ error, lastGood: has }, "the key set can't be fetched; what was there last is used");
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }
}

/** Null where it is none, or holds no key. */
function keySet(text: string): Find | null {
  try {
    const { keys } = JSON.parse(text) as JSONWebKeySet;
    // A shared secret has no place in what anybody may fetch.
    const open = keys.filter(({ kty }) => typeof kty === "string" && kty !== "oct").slice(0, MOST_KEYS);
    return open.length === 0 ? null : createLocalJWKSet({ keys: open });
  } catch {
    return null;
  }
}

async function select(find: Find, header: JWSHeaderParameters): Promise<CryptoKey[]> {
  try {
    return [await find(header)];
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return [];
    const keys: CryptoKey[] = [];
    for await (const key of error) if (keys.push(key) >= MOST_TRIED) break;
    return keys;
  }
}
