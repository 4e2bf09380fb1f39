/** What readers show of themselves, and what a judge answers about them. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";
import fc from "fast-check";
import { systemClock } from "../../src/ports.ts";
import { addressBlock, clientAddress } from "../../src/sinks/stream/access/address.ts";
import { UNKNOWN } from "../../src/sinks/stream/access/admission.ts";
import { compileClaimTemplate, templateProblem } from "../../src/sinks/stream/access/claims.ts";
import { credentialOf } from "../../src/sinks/stream/access/credential.ts";
import { answeredIdentity, maxAgeMs } from "../../src/sinks/stream/access/judge-answer.ts";
import { JwtAuthority } from "../../src/sinks/stream/access/jwt.ts";
import { fixedKeys } from "../../src/sinks/stream/access/keys.ts";
import { property } from "./property.ts";
import { anyText, longText, soup } from "./texts.ts";

const SECRET = "a shared secret of more than thirty-two bytes";

const authority = new JwtAuthority(
  { algorithms: ["HS256"], audience: ["app"], issuer: null, user: "sub", toleranceMs: 0 },
  fixedKeys([SECRET], []),
  systemClock,
);

const CREDENTIAL = { headers: {}, origin: null, asked: [], address: "", issuedAt: null };

const encoded = (text: string) => Buffer.from(text).toString("base64url");

/** A token of these parts, signed rightly or not. */
const tokens = fc
  .record({
    header: fc.oneof(anyText, fc.json(), fc.constant('{"alg":"HS256"}')),
    payload: fc.oneof(anyText, fc.json(), fc.constant('{"aud":"app","sub":"42"}')),
    signed: fc.boolean(),
  })
  .map(({ header, payload, signed }) => {
    const head = `${encoded(header)}.${encoded(payload)}`;
    return `${head}.${signed ? createHmac("sha256", SECRET).update(head).digest("base64url") : encoded(payload)}`;
  });

const headers = fc.record(
  { authorization: longText, cookie: longText, "x-forwarded-for": longText },
  { requiredKeys: [] },
);

const COOKIES = ["session", "=", ";", " ", '"', ",", "a", "session=", "; ", "\\"];

export const access = [
  property(
    "a token is taken or not, and one without exp never is",
    fc.oneof(tokens, longText),
    async (token) => {
      const judged = await authority.judge({ ...CREDENTIAL, token });
      assert.ok(!judged.ok, "none of these has an expiry");
      assert.equal(judged.denial.kind, "final");
    },
  ),

  property(
    "what a request shows is found, or not",
    fc.tuple(headers, soup(COOKIES), longText),
    ([given, cookie, target], within) => {
      const request = { headers: { cookie, ...given }, socket: { remoteAddress: "10.0.0.1" } };
      const rules = {
        cookie: "session",
        query: true,
        headers: ["cookie"],
        address: clientAddress(["10.0.0.0/8"]),
      };
      const query = new URLSearchParams(target);
      const shown = within(() => credentialOf(request as unknown as IncomingMessage, query, null, rules));
      assert.notEqual(shown.token, "");
      assert.ok(shown.address.length < 50, "an address, whatever was forwarded");
      within(() => addressBlock(shown.address));
    },
  ),

  property(
    "an entry of channels with templates is refused, or filled in",
    fc.tuple(longText, anyText),
    ([text, sub], within) => {
      for (const written of [text, `user.{{ claims.sub }}${text}`, `user.{{ claims.${text} }}`]) {
        if (within(() => templateProblem(written)) !== null) continue;
        const template = within(() => compileClaimTemplate(written));
        for (const name of within(() => template.fill({ sub }))) assert.equal(typeof name, "string");
      }
    },
  ),

  property("a judge's answer is read, or is none", fc.oneof(fc.json(), longText), (body, within) => {
    const identity = within(() => answeredIdentity(body, UNKNOWN, 1_800_000_000_000));
    if (identity !== null) for (const name of identity.channels ?? []) assert.ok(name.length <= 256);
  }),

  property("how long an answer may be kept is a number of ms", longText, (value, within) => {
    const ms = within(() => maxAgeMs({ "cache-control": value }));
    assert.ok(Number.isSafeInteger(ms) && ms >= 0);
  }),
];
