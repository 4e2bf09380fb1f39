/**
 * Verification by something the sender shows rather than signs: HTTP Basic (RFC 7617), a bearer token (RFC 6750), a
 * key in a header of its own (GitLab's `X-Gitlab-Token`). It can be checked before the body is read.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { object, secrets, text } from "../../../config/fields.ts";
import { headerName } from "./digest.ts";
import { type Fault, fault, headerOf, type Scheme, UNNAMED } from "./scheme.ts";

export const basicSchema = object({
  type: z.literal("basic").describe("HTTP Basic: a user and a password."),
  user: text()
    .refine((written) => !written.includes(":"), { error: "has a colon, which HTTP Basic can't carry" })
    .describe("The user's name."),
  password: secrets().describe("The password, or a list of live ones."),
});

export const bearerSchema = object({
  type: z.literal("bearer").describe("A token in `Authorization: Bearer …`."),
  token: secrets().describe("The token, or a list of live ones."),
});

export const apiKeySchema = object({
  type: z.literal("api_key").describe("A key in a header of its own, as GitLab's `X-Gitlab-Token`."),
  header: headerName().describe("The header that carries the key; it is not stored with the event."),
  key: secrets().describe("The key, or a list of live ones."),
});

export function basicScheme(config: z.output<typeof basicSchema>): Scheme {
  const expected = config.password.map((password) => Buffer.from(`${config.user}:${password}`, "utf8"));
  return credentialScheme("authorization", 'Basic realm="leat", charset="UTF-8"', expected, (written) => {
    const found = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(written)?.[1];
    return found === undefined ? null : Buffer.from(found, "base64");
  });
}

export function bearerScheme(config: z.output<typeof bearerSchema>): Scheme {
  const expected = config.token.map((token) => Buffer.from(token, "utf8"));
  return credentialScheme("authorization", "Bearer", expected, (written) => {
    return /^bearer /i.test(written) ? Buffer.from(written.slice(7).trim(), "latin1") : null;
  });
}

export function apiKeyScheme(config: z.output<typeof apiKeySchema>): Scheme {
  const expected = config.key.map((key) => Buffer.from(key, "utf8"));
  return credentialScheme(config.header, null, expected, (written) => Buffer.from(written, "latin1"));
}

function credentialScheme(
  header: string,
  challenge: string | null,
  expected: readonly Uint8Array[],
  read: (written: string) => Uint8Array | null,
): Scheme {
  const missing: Fault = fault("credentials", `no ${header} header`);
  const malformed: Fault = fault("credentials", `${header} is not of the form expected`);
  const wrong: Fault = fault("credentials", `${header} carries none of the credentials that are live`);
  const digests = expected.map(digest);
  return {
    secretHeaders: [header],
    challenge,
    beforeBody: true,
    check(headers) {
      const written = headerOf(headers, header);
      if (written === undefined) return missing;
      const given = read(written);
      if (given === null) return malformed;
      const shown = digest(given);
      let found = false;
      for (const one of digests) if (timingSafeEqual(one, shown)) found = true;
      return found ? null : wrong;
    },
    name: () => UNNAMED,
  };
}

/** Of equal length whatever is shown, so that the comparison tells nothing of the length. */
function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
