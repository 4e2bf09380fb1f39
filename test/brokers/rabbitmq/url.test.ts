import assert from "node:assert/strict";
import { test } from "node:test";
import { topicMatches } from "../../../src/brokers/rabbitmq/place.ts";
import { addressProblem, parseAddress } from "../../../src/brokers/rabbitmq/url.ts";

test("an address names host, port, user, password and virtual host; what it leaves out stays open", () => {
  assert.deepEqual(parseAddress("amqp://rabbit"), {
    protocol: "amqp",
    hostname: "rabbit",
    port: 5672,
    username: undefined,
    password: undefined,
    vhost: undefined,
  });
  assert.deepEqual(parseAddress("amqps://me:p%40ss%2F@[::1]:7000/a%2Fb"), {
    protocol: "amqps",
    hostname: "::1",
    port: 7000,
    username: "me",
    password: "p@ss/",
    vhost: "a/b",
  });
  assert.equal(parseAddress("amqps://rabbit/").port, 5671);
  assert.equal(parseAddress("amqps://rabbit/").vhost, undefined);
});

test("what is no address is refused without being repeated", () => {
  const bad = [
    "rabbit",
    "http://rabbit",
    "amqp://",
    "amqp://rabbit/a/b",
    "amqp://rabbit?heartbeat=5",
    "amqp://u:s%zz@rabbit",
  ];
  for (const written of bad) {
    const problem = addressProblem(written);
    assert.ok(problem, written);
    assert.ok(!`${problem.message} ${problem.remedy}`.includes("s%zz"));
  }
  for (const written of ["amqp://rabbit", "amqps://u:p@rabbit:1/%2F", "amqp://[::1]/"]) {
    assert.equal(addressProblem(written), null, written);
  }
});

test("a topic's pattern: a star is one word, a hash any number of them", () => {
  const yes = [
    ["a.b", "a.b"],
    ["a.*", "a.b"],
    ["#", "a.b.c"],
    ["#", ""],
    ["a.#", "a"],
    ["#.c", "a.b.c"],
    ["a.#.d", "a.b.c.d"],
  ];
  const no = [
    ["a.b", "a.c"],
    ["a.*", "a"],
    ["a.*", "a.b.c"],
    ["a.#.d", "a.b.c"],
    ["", "a"],
  ];
  for (const [pattern = "", key = ""] of yes)
    assert.equal(topicMatches(pattern, key), true, `${pattern} ${key}`);
  for (const [pattern = "", key = ""] of no)
    assert.equal(topicMatches(pattern, key), false, `${pattern} ${key}`);
});
