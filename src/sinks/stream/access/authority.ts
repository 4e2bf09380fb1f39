/** The authority that `auth:` and `judge:` describe. */
import { type Clock, type Logger, systemChance } from "../../../ports.ts";
import type { Admission, Authority, Credential, Denial, Judged } from "./admission.ts";
import { UNKNOWN } from "./admission.ts";
import { anyone, BearerAuthority } from "./bearer.ts";
import { Judge } from "./judge.ts";
import { JwtAuthority } from "./jwt.ts";
import { fixedKeys, type KeySource, RemoteKeys } from "./keys.ts";
import { Outside } from "./outside.ts";
import type { AuthConfig, JudgeConfig, JwtConfig } from "./schema-auth.ts";
import type { JudgedAction } from "./session.ts";

export interface AuthorityHost {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of a key set, and of a judge's answer. */
const MOST_BYTES = 256 * 1024;
const KEY_SET_TIMEOUT_MS = 5000;
const COOLDOWN_MS = 5000;

/** What a judge makes of it: asked at the beginning, again now and then, and for single channels where it wants to be. */
export interface Judging {
  readonly refreshMs: number;
  readonly graceMs: number;
  ask(
    action: JudgedAction,
    channel: string,
    credential: Credential,
    admission: Admission,
  ): Promise<Denial | null> | null;
  forget(): void;
}

export interface Authorities {
  readonly authority: Authority;
  readonly judging: Judging | null;
}

export function createAuthorities(
  auth: AuthConfig,
  judge: JudgeConfig | undefined,
  host: AuthorityHost,
): Authorities {
  if (auth.type === "http") return judged(null, auth, host);
  const first = plain(auth, host);
  return judge === undefined ? { authority: first, judging: null } : judged(first, judge, host);
}

function plain(auth: Exclude<AuthConfig, { type: "http" }>, host: AuthorityHost): Authority {
  if (auth.type === "none") return anyone;
  if (auth.type === "bearer") return new BearerAuthority(auth.token);
  const { algorithms, audience, issuer = null, user, tolerance } = auth;
  const rules = { algorithms, audience, issuer, user, toleranceMs: tolerance };
  return new JwtAuthority(rules, keysOf(auth, host), host.clock);
}

function keysOf(
  { secret = [], public_key: pems = [], jwks }: JwtConfig,
  { clock, log }: AuthorityHost,
): KeySource {
  if (jwks === undefined) return fixedKeys(secret, pems);
  const { url, refresh, tls, addresses } = jwks;
  const outside = new Outside({ url, tls, addresses, timeoutMs: KEY_SET_TIMEOUT_MS, maxBytes: MOST_BYTES });
  return new RemoteKeys({ outside, clock, log, refreshMs: refresh, cooldownMs: COOLDOWN_MS });
}

function judged(first: Authority | null, config: JudgeConfig, host: AuthorityHost): Authorities {
  const { url, timeout, tls, addresses, headers, max_cache: maxCacheMs, asks, refresh, grace } = config;
  const outside = new Outside({ url, tls, addresses, timeoutMs: timeout, maxBytes: MOST_BYTES });
  const { name: sink, clock, log } = host;
  const judge = new Judge({ sink, outside, headers, maxCacheMs, clock, chance: systemChance, log });
  return {
    authority: {
      start: async () => first?.start(),
      stop: async () => {
        await Promise.all([first?.stop(), judge.stop()]);
      },
      async judge(credential, fresh): Promise<Judged> {
        const known = (await first?.judge(credential, fresh)) ?? null;
        if (known !== null && !known.ok) return known;
        return judge.ask("connect", credential.asked, credential, known?.identity ?? null, fresh);
      },
    },
    judging: {
      refreshMs: refresh,
      graceMs: grace,
      ask(action, channel, credential, { user, claims, expiresAt }) {
        if (!asks.includes(action)) return null;
        const identity = { ...UNKNOWN, user, claims, expiresAt };
        return judge
          .ask(action, [channel], credential, identity)
          .then((said) => (said.ok ? null : said.denial));
      },
      forget: () => judge.forget(),
    },
  };
}
