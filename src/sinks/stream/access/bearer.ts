/** `auth: { type: none }` and `{ type: bearer }`: anyone, and whoever has the one token. */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Authority, type Credential, final, type Judged, missing, UNKNOWN } from "./admission.ts";

export const anyone: Authority = {
  start: async () => {},
  stop: async () => {},
  judge: async () => ({ ok: true, identity: UNKNOWN }),
};

export class BearerAuthority implements Authority {
  readonly #digests: readonly Buffer[];

  constructor(tokens: readonly string[]) {
    this.#digests = tokens.map(digest);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  async judge({ token }: Credential): Promise<Judged> {
    if (token === null) return { ok: false, denial: missing("A valid token is needed.") };
    const given = digest(token);
    // Digests have one length, and comparing all of them takes one time whichever matches.
    if (this.#digests.map((known) => timingSafeEqual(known, given)).includes(true)) {
      return { ok: true, identity: UNKNOWN };
    }
    return { ok: false, denial: final(401, "unauthorized", "A valid token is needed.", "unknown_token") };
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
