/**
 * `auth: { type: jwt }`: signed tokens (RFC 7519), of algorithms that the configuration names, for an audience that it names.
 * Nothing that a token says of its own checking is believed: a key is chosen by us, of the algorithm's own kind; `jku`, `x5u`
 * and `jwk` are ignored; `none` is no algorithm. (RFC 8725)
 */
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import type { Clock } from "../../../ports.ts";
import {
  type Authority,
  type Credential,
  type Denial,
  final,
  type Judged,
  later,
  missing,
} from "./admission.ts";
import type { KeySource } from "./keys.ts";

export interface JwtRules {
  readonly algorithms: readonly string[];
  readonly audience: readonly string[];
  /** Null: any. */
  readonly issuer: readonly string[] | null;
  /** The claim that names the user. */
  readonly user: string;
  /** Clocks may differ by so much, ms. */
  readonly toleranceMs: number;
}

/** A key set's endpoint that doesn't answer may do so in a moment. */
const RETRY_MS = 2000;

export class JwtAuthority implements Authority {
  readonly #rules: JwtRules;
  readonly #keys: KeySource;
  readonly #clock: Clock;

  constructor(rules: JwtRules, keys: KeySource, clock: Clock) {
    this.#rules = rules;
    this.#keys = keys;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    this.#keys.start();
  }

  stop(): Promise<void> {
    return this.#keys.stop();
  }

  async judge({ token }: Credential): Promise<Judged> {
    if (token === null) return no(missing("A token is needed."));
    const header = headerOf(token);
    if (header === null) return no(invalid("malformed"));
    if (!this.#rules.algorithms.includes(header.alg)) return no(invalid("algorithm"));
    const keys = await this.#keys.find(header);
    if (keys === "unavailable") {
      return no(later(503, "try_again", "The token can't be checked now: try again in a moment.", RETRY_MS));
    }
    let reason = "unknown_key";
    for (const key of keys) {
      try {
        const { payload } = await jwtVerify(token, key, this.#options());
        return this.#identity(payload);
      } catch (error) {
        reason = reasonOf(error);
        // By another key it may still be right.
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
      }
    }
    return no(invalid(reason));
  }

  #options(): JWTVerifyOptions {
    const { algorithms, audience, issuer, toleranceMs } = this.#rules;
    return {
      algorithms: [...algorithms],
      audience: [...audience],
      ...(issuer !== null && { issuer: [...issuer] }),
      requiredClaims: ["exp"],
      clockTolerance: toleranceMs / 1000,
      currentDate: new Date(this.#clock.wall()),
    };
  }

  /** A time that can't be says nothing: what was revoked then counts. */
  #issuedAt(iat: unknown): number | null {
    const latest = this.#clock.wall() + this.#rules.toleranceMs;
    return typeof iat === "number" && iat * 1000 <= latest ? iat * 1000 : null;
  }

  #identity(payload: JWTPayload): Judged {
    const { user: claim, toleranceMs } = this.#rules;
    const user = Object.hasOwn(payload, claim) ? payload[claim] : undefined;
    return {
      ok: true,
      identity: {
        user: userOf(user),
        claims: payload,
        // As long as it would be taken: one that came back within the tolerance would be closed at once.
        expiresAt: (payload.exp as number) * 1000 + toleranceMs,
        issuedAt: this.#issuedAt(payload.iat),
        channels: null,
        publish: null,
      },
    };
  }
}

/** A number that lost its digits may be two users'. */
function userOf(claim: unknown): string | null {
  const user = Number.isSafeInteger(claim) ? String(claim) : claim;
  return typeof user === "string" && user !== "" ? user : null;
}

/** Read before anything is believed of it, to choose a key. */
function headerOf(token: string): { alg: string; kid?: string } | null {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return null;
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    if (typeof alg !== "string" || (kid !== undefined && typeof kid !== "string")) return null;
    return kid === undefined ? { alg } : { alg, kid };
  } catch {
    return null;
  }
}

function no(denial: Denial): Judged {
  return { ok: false, denial };
}

const SAID: Readonly<Record<string, string>> = {
  expired: "it has expired",
  not_yet_valid: "it isn't valid yet",
  no_expiry: "it has no exp",
  audience: "it is for another audience",
  issuer: "it is of another issuer",
};

function invalid(reason: string): Denial {
  const said = SAID[reason];
  const message = said === undefined ? "The token isn't valid." : `The token isn't valid: ${said}.`;
  return final(401, "unauthorized", message, reason);
}

const CLAIMS: Readonly<Record<string, string>> = { aud: "audience", iss: "issuer", nbf: "not_yet_valid" };

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === "exp" ? "no_expiry" : (CLAIMS[error.claim] ?? "claims");
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature";
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return "algorithm";
  return "malformed";
}
