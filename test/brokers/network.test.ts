import assert from "node:assert/strict";
import { test } from "node:test";
import { networkFailure } from "../../src/brokers/network.ts";

test("codes of the network have a word and heal by themselves; those of TLS are for a person, each with what to do", () => {
  assert.deepEqual(
    ["ECONNREFUSED", "EAI_AGAIN", "EPIPE", "ETIMEDOUT", "ENETUNREACH"].map((code) => {
      const failure = networkFailure(code);
      return [failure?.error, failure?.calm];
    }),
    [
      ["connection_refused", false],
      ["dns", false],
      ["reset", false],
      ["timeout", false],
      ["unreachable", false],
    ],
  );
  for (const [code, remedy] of [
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /tls\.ca/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /tls\.servername/],
    ["ERR_SSL_WRONG_VERSION_NUMBER", /ERR_SSL_WRONG_VERSION_NUMBER.*port/],
    ["CERT_NOT_YET_VALID", /CERT_NOT_YET_VALID/],
  ] as const) {
    const failure = networkFailure(code);
    assert.deepEqual([failure?.error, failure?.calm], ["tls", true]);
    assert.match(failure?.message ?? "", remedy);
  }
  for (const code of ["", "ENOSPC", "constructor", "42"]) assert.equal(networkFailure(code), null);
});
