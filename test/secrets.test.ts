import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutCredentials } from "../src/secrets.ts";

test("an address loses its user, password, query and fragment; the text around it stays", () => {
  assert.equal(
    withoutCredentials("can't reach amqp://user:pass@host:5672/v?token=x#y, nor http://a/b?c=d"),
    "can't reach amqp://host:5672/v nor http://a/b",
  );
});

test("a long text that only looks like an address takes no time", () => {
  const text = `${"a.".repeat(50_000)}://${"b+".repeat(50_000)}`;
  const before = process.threadCpuUsage().user;
  withoutCredentials(text);
  assert.ok((process.threadCpuUsage().user - before) / 1000 < 200);
});
