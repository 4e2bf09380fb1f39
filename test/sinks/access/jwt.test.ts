/** Signed tokens: which are taken, and that nothing a token says of its own checking is believed. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { open, withStream } from "../sse-kit.ts";
import { bearing, byHmac, ec, forge, mint, now, otherRsa, pem, rsa, SECRET, statusOf } from "./kit.ts";

const OWN = { channels: ["a", "user.{{ claims.sub }}"] };
const byRsa = { type: "jwt", public_key: pem(rsa.publicKey), algorithms: ["RS256"], audience: "app" };

describe("tokens by a shared secret", () => {
  test("a good one is let in, from the header or the cookie, and nothing at all isn't", async () => {
    await withStream({ auth: { ...byHmac, cookie: "session" }, ...OWN }, async (stream) => {
      const token = await mint();
      assert.equal(await statusOf(stream, bearing(token)), 200);
      assert.equal(await statusOf(stream, { cookie: `other=1; session=${token}; z=2` }), 200);
      assert.equal(await statusOf(stream, { cookie: `session="${token}"` }), 200);
      for (const headers of [
        {},
        { cookie: `sessions=${token}` },
        { cookie: "session=" },
        { cookie: `x=session=${token}` },
      ])
        assert.equal(await statusOf(stream, headers), 401, JSON.stringify(headers));
      assert.equal(await statusOf(stream, {}, `channel=a&access_token=${token}`), 401, "a URL is no place");
    });
  });

  test("a token in the URL only where that is written, and in no log line", async () => {
    await withStream({ auth: { ...byHmac, query: true } }, async (stream) => {
      const token = await mint();
      assert.equal(await statusOf(stream, {}, `channel=a&access_token=${token}`), 200);
      assert.equal(await statusOf(stream, {}, `channel=a&access_token=${token}x`), 401);
      assert.doesNotMatch(stream.log.lines.join(), /access_token|eyJ/);
    });
  });

  test("bad ones are told why, in a word, and never what the token holds", async () => {
    const bad: [name: string, token: Promise<string> | string, reason: string][] = [
      ["expired", mint({ exp: now() - 60 }), "expired"],
      ["not valid yet", mint({ nbf: now() + 60 }), "not_yet_valid"],
      ["another audience", mint({ aud: "billing" }), "audience"],
      ["no audience", mint({ aud: undefined }), "audience"],
      ["another issuer", mint({ iss: "https://evil.example" }), "issuer"],
      ["no issuer", mint({ iss: undefined }), "issuer"],
      ["no exp", mint({ exp: undefined }), "no_expiry"],
      ["an exp that is text", mint({ exp: "2040-01-01" }), "no_expiry"],
      ["another secret", mint({}, { key: Buffer.from(`${SECRET}!`) }), "signature"],
      ["an algorithm that isn't listed", mint({}, { alg: "HS512" }), "algorithm"],
      ["alg none", forge({ alg: "none" }, { sub: "42", aud: "app", exp: now() + 60 }, ""), "malformed"],
      [
        "alg none with a signature",
        forge({ alg: "none" }, { sub: "42", aud: "app", exp: now() + 60 }),
        "algorithm",
      ],
      ["alg NoNe", forge({ alg: "NoNe" }, { sub: "42", aud: "app", exp: now() + 60 }), "algorithm"],
      ["no alg", forge({}, { sub: "42", aud: "app", exp: now() + 60 }), "malformed"],
      [
        "a crit that nobody knows",
        forge({ alg: "HS256", crit: ["exp"], exp: 1 }, { aud: "app" }),
        "algorithm",
      ],
      ["two parts", "a.b", "malformed"],
      ["five parts, as an encrypted one has", "a.b.c.d.e", "malformed"],
      ["a header that is no JSON", "e30x.e30.AAAA", "malformed"],
      ["a lot of dots", ".".repeat(4000), "malformed"],
      ["garbage", "💥".repeat(10), "malformed"],
    ];
    await withStream({ auth: { ...byHmac, issuer: "https://id.example" } }, async (stream) => {
      for (const [name, given, reason] of bad) {
        const token = await given;
        const headers = { authorization: `Bearer ${Buffer.from(token).toString("latin1")}` };
        const reader = await open(stream, "channel=a", headers);
        assert.equal(reader.status, 401, name);
        assert.ok(
          reader.headers["www-authenticate"]?.includes(`error_description="${reason}"`),
          `${name}: ${reader.headers["www-authenticate"]}`,
        );
        assert.doesNotMatch(reader.text, /42|evil/);
      }
      assert.equal(await statusOf(stream, bearing(await mint())), 200);
      assert.doesNotMatch(stream.log.lines.join(), /eyJ/);
    });
  });

  test("a huge token is refused before anything is made of it", async () => {
    await withStream({ auth: { ...byHmac, query: true } }, async (stream) => {
      const token = await mint({ more: "x".repeat(9000) });
      const reader = await open(stream, `channel=a&access_token=${token}`);
      assert.equal(reader.status, 401);
      assert.match(reader.headers["www-authenticate"] ?? "", /too_long/);
      assert.equal(await statusOf(stream, bearing(await mint({ more: "x".repeat(4000) }))), 200);
    });
  });

  test("while a secret is replaced, both are good", async () => {
    const old = "an old secret that has thirty-two bytes or more";
    await withStream({ auth: { ...byHmac, secret: [SECRET, old] } }, async (stream) => {
      assert.equal(await statusOf(stream, bearing(await mint())), 200);
      assert.equal(await statusOf(stream, bearing(await mint({}, { key: Buffer.from(old) }))), 200);
      assert.equal(await statusOf(stream, bearing(await mint({}, { key: Buffer.from(`${old}.`) }))), 401);
    });
  });

  test("one that ends after the end of days is good, and one whose times are no numbers isn't", async () => {
    await withStream({ auth: byHmac }, async (stream) => {
      for (const exp of [1e12, 1e300, now() + 0.5])
        assert.equal(await statusOf(stream, bearing(await mint({ exp }))), 200, String(exp));
      for (const times of [{ exp: null }, { exp: true }, { exp: [now() + 60] }, { exp: -1 }, { nbf: "now" }])
        assert.equal(await statusOf(stream, bearing(await mint(times))), 401, JSON.stringify(times));
      const reader = await open(stream, "channel=a", bearing(await mint({ exp: 1e300 })));
      assert.ok(!reader.ended);
      reader.close();
    });
  });

  test("clocks may be apart by the tolerance", async () => {
    await withStream({ auth: { ...byHmac, tolerance: "20s" } }, async (stream) => {
      assert.equal(await statusOf(stream, bearing(await mint({ exp: now() - 5 }))), 200);
      assert.equal(await statusOf(stream, bearing(await mint({ nbf: now() + 5 }))), 200);
      assert.equal(await statusOf(stream, bearing(await mint({ exp: now() - 30 }))), 401);
    });
  });
});

describe("tokens by a public key", () => {
  test("the key is never a shared secret, whatever the token says", async () => {
    await withStream({ auth: byRsa }, async (stream) => {
      assert.equal(
        await statusOf(stream, bearing(await mint({}, { alg: "RS256", key: rsa.privateKey }))),
        200,
      );
      assert.equal(
        await statusOf(stream, bearing(await mint({}, { alg: "RS256", key: otherRsa.privateKey }))),
        401,
      );
      // The classic: HS256 with the public key's own text as the secret.
      for (const text of [pem(rsa.publicKey), pem(rsa.publicKey).trim()]) {
        const token = forge({ alg: "HS256" }, { sub: "42", aud: "app", exp: now() + 60 }, "");
        const signature = createHmac("sha256", text).update(token.slice(0, -1)).digest("base64url");
        assert.equal(await statusOf(stream, bearing(token + signature)), 401);
      }
    });
  });

  test("a key that the token brings along, or names by a URL, is nobody's", async () => {
    await withStream({ auth: byRsa }, async (stream) => {
      const evil = otherRsa.publicKey.export({ format: "jwk" });
      for (const header of [
        { jwk: evil },
        { jku: "http://127.0.0.1:9/keys", kid: "evil" },
        { x5u: "http://127.0.0.1:9/cert" },
        { kid: "../../../../dev/null" },
        { kid: "' OR 1=1 --" },
      ]) {
        const token = await mint({}, { alg: "RS256", key: otherRsa.privateKey, header });
        assert.equal(await statusOf(stream, bearing(token)), 401, JSON.stringify(header));
      }
      const named = await mint(
        {},
        { alg: "RS256", key: rsa.privateKey, header: { kid: "../../etc/passwd" } },
      );
      assert.equal(await statusOf(stream, bearing(named)), 200, "a name alone harms nobody");
    });
  });

  test("each of several keys is used for its own kind of algorithm", async () => {
    const auth = {
      type: "jwt",
      public_key: [pem(rsa.publicKey), pem(ec.publicKey)],
      algorithms: ["RS256", "PS256", "ES256"],
      audience: ["app", "other"],
    };
    await withStream({ auth }, async (stream) => {
      for (const [alg, key] of [
        ["RS256", rsa.privateKey],
        ["PS256", rsa.privateKey],
        ["ES256", ec.privateKey],
      ] as const)
        assert.equal(
          await statusOf(stream, bearing(await mint({ aud: ["x", "other"] }, { alg, key }))),
          200,
          alg,
        );
    });
  });
});

describe("channels by claims", () => {
  test("a reader joins its own channel, by name or by naming none, and nobody else's", async () => {
    await withStream({ auth: byHmac, channels: ["user.{{ claims.sub }}"] }, async (stream) => {
      const as = async (sub: unknown, query: string) => statusOf(stream, bearing(await mint({ sub })), query);
      assert.equal(await as("42", "channel=user.42"), 200);
      assert.equal(await as(42, "channel=user.42"), 200, "a number is its digits");
      assert.equal(await as("42", ""), 200);
      for (const channel of [
        "user.43",
        "user.*",
        "user.**",
        "**",
        "user.4",
        "user.42.x",
        "user.{{ claims.sub }}",
      ])
        assert.equal(await as("42", `channel=${encodeURIComponent(channel)}`), 403, channel);
    });
  });

  test("what a claim holds is literal: * is a name, and joins nobody else", async () => {
    await withStream({ auth: byHmac, channels: ["user.{{ claims.sub }}"] }, async (stream) => {
      for (const sub of ["*", "**", "4*", "\\*", "a\\"]) {
        const headers = bearing(await mint({ sub }));
        for (const channel of ["user.42", "user.*", "user.**", "user.a"])
          assert.equal(
            await statusOf(stream, headers, `channel=${encodeURIComponent(channel)}`),
            403,
            `${sub}: ${channel}`,
          );
        const escaped = `user.${sub.replace(/[*\\]/g, "\\$&")}`;
        assert.equal(
          await statusOf(stream, headers, `channel=${encodeURIComponent(escaped)}`),
          200,
          `${sub}: its own`,
        );
      }
      const reader = await open(stream, "", bearing(await mint({ sub: "*" })));
      await stream.publish(1, []);
      assert.equal(reader.status, 200);
      reader.close();
    });
  });

  test("a claim that is empty, missing or no name grants nothing", async () => {
    await withStream({ auth: byHmac, channels: ["user.{{ claims.sub }}"] }, async (stream) => {
      for (const sub of ["", undefined, null, {}, [], true, "a\nb", "a\u0000", "x".repeat(300), 1.5])
        for (const channel of [
          "user.",
          "user.undefined",
          "user.null",
          "user.[object Object]",
          "user.true",
          "user.1.5",
        ])
          assert.equal(
            await statusOf(stream, bearing(await mint({ sub })), `channel=${encodeURIComponent(channel)}`),
            403,
            `${JSON.stringify(sub)}: ${channel}`,
          );
    });
  });
});
