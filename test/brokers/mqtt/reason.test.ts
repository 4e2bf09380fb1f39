import assert from "node:assert/strict";
import { test } from "node:test";
import { brokenBy, refusedFor } from "../../../src/brokers/mqtt/reason.ts";
import { BrokerError } from "../../../src/brokers/supervise.ts";

test("a reason code of either version has its word, and what only a person mends is tried calmly", () => {
  const cases: [code: number, error: string, calm: boolean][] = [
    [1, "version", true],
    [132, "version", true],
    [2, "client_id", true],
    [133, "client_id", true],
    [3, "unavailable", false],
    [136, "unavailable", false],
    [4, "auth", true],
    [5, "auth", true],
    [134, "auth", true],
    [135, "auth", true],
    [139, "closed", false],
    [142, "session_taken_over", true],
    [200, "refused", false],
  ];
  for (const [code, error, calm] of cases) {
    const why = refusedFor(code);
    assert.deepEqual([why.error, why.calm], [error, calm], String(code));
    assert.notEqual(why.message, "");
  }
  assert.match(refusedFor(137, "come back\nat noon").message, /it says: come back/);
});

test("an error of the network has its word, also within another; TLS is for a person to mend", () => {
  const coded = (code: string) => Object.assign(new Error(code), { code });
  const cases: [error: Error | null, word: string, calm: boolean][] = [
    [null, "closed", false],
    [coded("ECONNREFUSED"), "connection_refused", false],
    [coded("ENOTFOUND"), "dns", false],
    [coded("ECONNRESET"), "reset", false],
    [new AggregateError([coded("EHOSTUNREACH"), coded("ECONNREFUSED")]), "unreachable", false],
    [new Error("outer", { cause: coded("ETIMEDOUT") }), "timeout", false],
    [coded("DEPTH_ZERO_SELF_SIGNED_CERT"), "tls", true],
    [coded("ERR_TLS_CERT_ALTNAME_INVALID"), "tls", true],
    [coded("ERR_SSL_WRONG_VERSION_NUMBER"), "tls", true],
    [new Error("Packet too short"), "protocol", false],
  ];
  for (const [error, word, calm] of cases) {
    const why = brokenBy(error);
    assert.deepEqual([why.error, why.calm], [word, calm], String(error));
  }
  const own = new BrokerError("auth", "as it is");
  assert.equal(brokenBy(own), own);
});
