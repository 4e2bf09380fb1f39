import assert from "node:assert/strict";
import { test } from "node:test";
import { filterMatches, filterProblem, topicProblem } from "../../../src/brokers/mqtt/topics.ts";

test("a filter's wildcards are whole levels, # the last one", () => {
  const fine = [
    "a",
    "/",
    "+",
    "#",
    "a/+/b",
    "+/+",
    "a/#",
    "/#",
    "$SYS/#",
    "a b/ü",
    "$share/g/a/+",
    "$share/g/#",
  ];
  for (const filter of fine) assert.equal(filterProblem(filter), null, filter);
  const broken = ["", "a+", "+a/b", "a/#/b", "a#", "a/b#", "##", "a\0", "\ud800", "x".repeat(65_536)];
  for (const filter of broken) assert.notEqual(filterProblem(filter), null, filter);
  for (const filter of ["$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g/a#"]) {
    assert.notEqual(filterProblem(filter), null, filter);
  }
});

test("a topic to publish to has no wildcards, and fits into 65535 bytes", () => {
  for (const topic of ["a", "/", "a/b", " ", "$SYS", "ü".repeat(32_767)])
    assert.equal(topicProblem(topic), null);
  for (const topic of ["", "+", "a/#", "a#b", "a\0", "\ud800", "ü".repeat(32_768)]) {
    assert.notEqual(topicProblem(topic), null);
  }
});

test("filters match as the specification's examples say", () => {
  const cases: [filter: string, topic: string, matches: boolean][] = [
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/ranking", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/tennis/player1/#", "sport/tennis/player2", false],
    ["#", "a/b/c", true],
    ["#", "$SYS/uptime", false],
    ["+/monitor/Clients", "$SYS/monitor/Clients", false],
    ["$SYS/#", "$SYS/uptime", true],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+", "sport", true],
    ["+", "/finance", false],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["a/+/c", "a/b/c", true],
    ["a/+/c", "a/b/c/d", false],
    ["a/b", "a/b/c", false],
    ["a/b/c", "a/b", false],
    ["$share/g/a/+", "a/b", true],
    ["$share/g/a/+", "b/b", false],
  ];
  for (const [filter, topic, matches] of cases) {
    assert.equal(filterMatches(filter, topic), matches, `${filter} and ${topic}`);
  }
});
