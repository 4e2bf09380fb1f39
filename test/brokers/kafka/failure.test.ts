import assert from "node:assert/strict";
import { test } from "node:test";
import { asBrokerError, protocolError } from "../../../src/brokers/kafka/failure.ts";
import { BrokerError } from "../../../src/brokers/supervise.ts";

function like(fields: Readonly<Record<string, unknown>>, cause?: Error): Error {
  return Object.assign(new Error("as kafkajs says it", { cause }), fields);
}

const CASES: readonly (readonly [what: string, error: unknown, word: string, calm: boolean])[] = [
  [
    "a port nobody listens on",
    like({ name: "KafkaJSConnectionError", code: "ECONNREFUSED" }),
    "connection_refused",
    false,
  ],
  ["a name nobody knows", like({ name: "KafkaJSConnectionError", code: "ENOTFOUND" }), "dns", false],
  ["a connection that takes too long", like({ name: "KafkaJSConnectionError" }), "timeout", false],
  ["a connection that is cut", like({ name: "KafkaJSConnectionError", code: "ECONNRESET" }), "reset", false],
  ["a request that takes too long", like({ name: "KafkaJSRequestTimeoutError" }), "timeout", false],
  ["a connection that is closed", like({ name: "KafkaJSConnectionClosedError" }), "closed", false],
  [
    "a certificate of nobody's",
    like({ name: "KafkaJSConnectionError", code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
    "tls",
    true,
  ],
  ["a wrong password", like({ name: "KafkaJSSASLAuthenticationError" }), "auth", true],
  [
    "a topic that isn't there",
    like({ name: "KafkaJSProtocolError", type: "UNKNOWN_TOPIC_OR_PARTITION" }),
    "unknown_topic",
    true,
  ],
  [
    "a topic of others",
    like({ name: "KafkaJSProtocolError", type: "TOPIC_AUTHORIZATION_FAILED" }),
    "forbidden",
    true,
  ],
  [
    "a group of others",
    like({ name: "KafkaJSProtocolError", type: "GROUP_AUTHORIZATION_FAILED" }),
    "forbidden",
    true,
  ],
  ["anything else", new TypeError("of its own"), "kafka", false],
];

for (const [what, error, word, calm] of CASES) {
  test(`${what} is ${word}${calm ? ", and only a person can mend it" : ""}, also behind kafkajs' retries`, () => {
    for (const wrapped of [error, like({ name: "KafkaJSNumberOfRetriesExceeded" }, error as Error)]) {
      const meant = asBrokerError(wrapped, "kafka:9092");
      assert.deepEqual([meant.error, meant.calm], [word, calm]);
      assert.match(meant.message, /^kafka:9092: /);
    }
  });
}

test("what was understood already stays as it is", () => {
  const known = new BrokerError("stalled", "it has stalled");
  assert.equal(asBrokerError(known, "kafka:9092"), known);
});

test("the protocol's own name of an error is found behind those that wrap it", () => {
  assert.equal(protocolError(like({}, like({ type: "MESSAGE_TOO_LARGE" }))), "MESSAGE_TOO_LARGE");
  assert.equal(protocolError(new Error("none")), "");
});
