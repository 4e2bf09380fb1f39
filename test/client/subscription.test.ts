/** Up to where a program has taken events, and what is kept of it over page loads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Intake, type SubscriptionOptions } from "../../src/client/subscription.ts";

/** What a browser's storage is to the client. */
function shelf(text: string | null = null) {
  const state = {
    text,
    getItem: () => state.text,
    setItem: (_key: string, value: string) => {
      state.text = value;
    },
    get kept(): unknown {
      return JSON.parse(state.text ?? "null");
    },
  };
  return state;
}

const intakeOf = (channels: readonly string[], options: SubscriptionOptions) =>
  new Intake("http://localhost/events", channels, options, () => {});

test("an event in the program's hands isn't taken, whatever the server says meanwhile", async () => {
  const storage = shelf();
  const intake = intakeOf(["a"], { storage });
  const loop = intake[Symbol.asyncIterator]();
  intake.begin("a", 6);
  assert.deepEqual(storage.kept, { a: "6" });
  intake.receive("a", 7, { data: 1 });
  await loop.next();
  intake.settle("a", 9);
  assert.deepEqual(storage.kept, { a: "6" });
  const next = loop.next();
  assert.deepEqual(storage.kept, { a: "7.1" });
  intake.settle("a", 9);
  assert.deepEqual(storage.kept, { a: "9" });
  assert.equal(intake.position, 9);
  intake.close();
  await next;
});

test("a gap is told once the program is done with what came before, and is no place until then", async () => {
  const storage = shelf();
  const intake = intakeOf(["a"], { storage });
  const told: unknown[] = [];
  intake.on("gap", ({ oldest }) => told.push(oldest));
  const loop = intake[Symbol.asyncIterator]();
  intake.receive("a", 7, { data: 1 }, 7);
  await loop.next();
  intake.gap("a", { asked: 7, oldest: 20, newest: 30 }, 19);
  assert.deepEqual([told, storage.kept], [[], null]);
  const next = loop.next();
  await new Promise(setImmediate);
  assert.deepEqual([told, storage.kept], [[20], { a: "19" }]);
  intake.close();
  await next;
});

test("a loop that is left has taken what it was given", async () => {
  const storage = shelf();
  const intake = intakeOf(["a"], { storage });
  intake.receive("a", 7, { data: 1 }, 7);
  for await (const { data } of intake) if (data === 1) break;
  assert.deepEqual(storage.kept, { a: "7" });
  intake.settle("a", 8);
  assert.deepEqual(storage.kept, { a: "8" });
});

test("what an earlier page has taken of one channel is kept while another's is written", () => {
  const storage = shelf(`{"a":"5","b":"3.1","other":"1"}`);
  const intake = intakeOf(["a", "b"], { storage, since: 1 });
  assert.deepEqual([intake.place("a").resume(), intake.place("b").resume(), intake.position], [5, 2, 3]);
  intake.on("event", () => {});
  intake.receive("a", 8, { data: 1 }, 8);
  assert.deepEqual(storage.kept, { a: "8", b: "3.1" });
});

test("a place that was asked for is no news: the gap that follows it is told again to the next page", () => {
  const storage = shelf(`{"a":"5"}`);
  const intake = intakeOf(["a"], { storage });
  intake.place("a").resume();
  intake.begin("a", 40);
  assert.deepEqual(storage.kept, { a: "5" });
});

test("channels may be called as the members of all objects are", () => {
  const names = ["constructor", "__proto__", "toString", "hasOwnProperty"];
  const storage = shelf();
  const first = intakeOf(names, { storage, since: 2 });
  first.on("event", () => {});
  for (const [at, name] of names.entries()) {
    assert.equal(first.place(name).resume(), 2);
    first.receive(name, 10 + at, { data: name }, 10 + at);
  }
  const again = intakeOf(names, { storage });
  for (const [at, name] of names.entries()) assert.equal(again.place(name).resume(), 10 + at);
  // What is kept under none of these names has them all the same.
  const bare = intakeOf(names, { storage: shelf("{}"), since: 2 });
  for (const name of names) assert.equal(bare.place(name).resume(), 2);
});

test("whatever is kept there, a place begins as if nothing were, unless it is one", () => {
  const any = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom("null", "7", `"a"`, "[1]", `{"a":{}}`, `{"a":null}`),
  );
  fc.assert(
    fc.property(any, (text) => {
      const resumed = intakeOf(["a"], { storage: shelf(text), since: 3 })
        .place("a")
        .resume();
      assert.ok(resumed === 3 || JSON.parse(text).a !== undefined);
    }),
  );
});
