import assert from "node:assert/strict";
import { test } from "node:test";
import { median, quantile, type Row, reaches } from "../../bench/row.ts";
import { barText, figure, markdownTable, terminalTable } from "../../bench/table.ts";
import { inTurns, Turns } from "../../bench/turns.ts";

const row: Row = {
  row: "ingest",
  unit: "webhooks/s",
  leat: 12_345.6,
  baseline: 13_000,
  against: "a server",
  compared: { by: "ratio", value: 0.8999 },
  bar: { least: 0.9 },
  more: { leatP50Ms: 4.0395 },
};

test("a row that is a hair short of its bar has missed it, and one that could not be measured too", () => {
  assert.equal(reaches(row), false);
  assert.equal(reaches({ compared: { by: "ratio", value: 0.9 }, bar: { least: 0.9 } }), true);
  assert.equal(reaches({ compared: { by: "ratio", value: 1.6 }, bar: { most: 1.6 } }), true);
  assert.equal(reaches({ compared: { by: "ratio", value: 1.61 }, bar: { most: 1.6 } }), false);
  assert.equal(reaches({ compared: { by: "ratio", value: Number.NaN }, bar: { most: 1.6 } }), false);
  assert.equal(reaches({ compared: { by: "ratio", value: 0 }, bar: null }), true);
});

test("the median and the quantiles are of the values in order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
  assert.equal(quantile([5, 1, 4, 2, 3], 0.5), 3);
  assert.equal(quantile([1, 2], 0.99), 2);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test("turns compare neighbours, so that a drift of the machine says nothing", () => {
  const turns = new Turns(
    [{ rate: 50 }, { rate: 5 }, { rate: 500 }],
    [{ rate: 100 }, { rate: 10 }, { rate: 900 }],
  );
  assert.equal(turns.ratio("rate"), 0.5);
  assert.equal(turns.difference("rate"), -50);
  assert.equal(turns.of("baseline", "rate"), 100);
});

test("the first turn of each is only to warm up, and the order alternates", async () => {
  const order: string[] = [];
  let n = 0;
  const turn = (who: string) => async () => {
    order.push(who);
    return { n: n++ };
  };
  const turns = await inTurns(3, turn("leat"), turn("bare"));
  assert.deepEqual(order, ["leat", "bare", "leat", "bare", "bare", "leat", "leat", "bare"]);
  assert.deepEqual(turns.leat, [{ n: 2 }, { n: 5 }, { n: 6 }]);
  assert.deepEqual(turns.baseline, [{ n: 3 }, { n: 4 }, { n: 7 }]);
});

test("figures have three digits that mean something", () => {
  assert.deepEqual([12_345.6, 99.44, 4.0395, 0.01234, 0, Number.NaN].map(figure), [
    "12,346",
    "99.4",
    "4.04",
    "0.0123",
    "0",
    "–",
  ]);
});

test("a bar is said in the way in which the two are compared", () => {
  assert.equal(barText({ least: 0.75 }, { by: "ratio", value: 1 }, "webhooks/s"), "at least 0.75");
  assert.equal(barText({ most: 5 }, { by: "difference", value: 1 }, "ms"), "at most +5 ms");
  assert.equal(barText(null, { by: "ratio", value: 1 }, "ms"), "reported");
});

test("the tables show a row, what else was measured, and that its bar was missed", () => {
  assert.match(
    terminalTable([row]),
    /\ningest +12,346 +13,000 +webhooks\/s +0\.90 +at least 0\.90: MISSED\n {4}leat p50 ms 4\.04$/,
  );
  assert.match(
    markdownTable([row]),
    /\n\| ingest \| 12,346 \| 13,000 \| webhooks\/s \| 0\.90 \| at least 0\.90: MISSED \|$/,
  );
});
