import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Place } from "../../src/client/place.ts";

test("an event at or below the place is a repeat, one above it is new", () => {
  const place = new Place(41);
  assert.deepEqual(
    [40, 41, 42, 42, 41, 44].map((seq) => place.take(seq)),
    [false, false, true, true, false, true],
  );
  assert.equal(place.text, "44.1");
});

test("events of one seq are each had once, also where the connection ended between them", () => {
  const place = new Place();
  assert.deepEqual([place.take(7), place.take(7)], [true, true]);
  assert.equal(place.resume(), 6);
  assert.deepEqual(
    [7, 7, 7, 8].map((seq) => place.take(seq)),
    [false, false, true, true],
  );
  assert.equal(place.resume(), 7);
});

test("what the server settles isn't asked for again", () => {
  const place = new Place();
  place.take(7);
  place.settle(7);
  assert.equal(place.resume(), 7);
  place.settle(3);
  assert.equal(place.resume(), 7);
  place.reset(2);
  assert.equal(place.take(5), true);
});

test("a place that was kept as text is the same place", () => {
  const place = new Place();
  assert.equal(place.text, "");
  for (const seq of [9, 12, 12]) place.take(seq);
  assert.equal(place.text, "12.2");
  const again = Place.of(place.text);
  assert.equal(again.resume(), 11);
  assert.deepEqual(
    [12, 12, 12].map((seq) => again.take(seq)),
    [false, false, true],
  );
  assert.equal(Place.of("41").resume(), 41);
  for (const text of ["", "x", "1.x", "-4", "1e9", "99999999999999999", null, {}])
    assert.equal(Place.of(text).text, "");
});

test("whatever cuts there are, nothing is missing and nothing comes twice", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 20 });
  const cuts = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 10 });
  fc.assert(
    fc.property(sizes, cuts, fc.boolean(), (groups, connections, tells) => {
      const all = groups.flatMap((size, at) =>
        Array.from({ length: size }, (_, n) => ({ seq: (at + 1) * 3, n, last: n === size - 1 })),
      );
      let place = new Place(0);
      const had: string[] = [];
      for (const length of [...connections, all.length]) {
        // A page that was loaded anew has its place as text only.
        place = Place.of(place.text);
        const since = place.resume() as number;
        for (const { seq, n, last } of all.filter((event) => event.seq > since).slice(0, length)) {
          if (place.take(seq)) had.push(`${seq}.${n}`);
          if (tells && last) place.settle(seq);
        }
      }
      assert.deepEqual(
        had,
        all.map(({ seq, n }) => `${seq}.${n}`),
      );
    }),
  );
});
