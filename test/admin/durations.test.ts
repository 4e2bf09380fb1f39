import assert from "node:assert/strict";
import test from "node:test";
import { Durations } from "../../src/admin/durations.ts";

test("a histogram's buckets are cumulative, by labels, with sum and count", () => {
  const durations = new Durations("leat_test_seconds", "A test.", "route", "sink");
  const one = durations.labels("r", "s");
  for (const seconds of [0.005, 0.006, 4000]) one.observe(seconds);
  durations.labels("r", "t").observe(1);
  const lines = durations.text().split("\n");
  assert.deepEqual(lines.slice(0, 2), [
    "# HELP leat_test_seconds A test.",
    "# TYPE leat_test_seconds histogram",
  ]);
  for (const line of [
    'leat_test_seconds_bucket{le="0.005",route="r",sink="s"} 1',
    'leat_test_seconds_bucket{le="0.01",route="r",sink="s"} 2',
    'leat_test_seconds_bucket{le="3600",route="r",sink="s"} 2',
    'leat_test_seconds_bucket{le="+Inf",route="r",sink="s"} 3',
    'leat_test_seconds_sum{route="r",sink="s"} 4000.011',
    'leat_test_seconds_count{route="r",sink="s"} 3',
    'leat_test_seconds_count{route="r",sink="t"} 1',
  ]) {
    assert.ok(lines.includes(line), line);
  }
});
