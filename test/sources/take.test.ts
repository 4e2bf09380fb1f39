import assert from "node:assert/strict";
import { test } from "node:test";
import type { Arrival } from "../../src/component.ts";
import { LeatError } from "../../src/errors.ts";
import { NO_HEADERS, packHeaders } from "../../src/event.ts";
import { systemClock } from "../../src/ports.ts";
import { createTaker } from "../../src/sources/take.ts";
import { waitFor } from "../wait-for.ts";
import { TestHost } from "./host.ts";

function arrival(over: Partial<Arrival> = {}): Arrival {
  return {
    id: null,
    type: null,
    key: null,
    subject: null,
    headers: NO_HEADERS,
    body: Buffer.from("{}"),
    hops: 0,
    address: () => "",
    ...over,
  };
}

class Host extends TestHost {
  override readonly clock = systemClock;
}

const full = () => new LeatError("unavailable", "journal_full", "full", { retryAfterMs: 1 });

test("an arrival that the journal can't take now is tried again until it can", async () => {
  const host = new Host();
  host.failure = full();
  const take = createTaker(host, { oversize: "refuse", signal: new AbortController().signal });
  let tries = 0;
  const append = host.append.bind(host);
  host.append = (one) => {
    tries++;
    return append(one);
  };
  const taken = take(arrival({ id: "a" }), () => "orders-0-17");
  await waitFor("a second try", () => tries > 1);
  host.failure = null;
  assert.equal((await taken)?.id, "a");
  assert.equal(host.appended.length, 1);
});

test("a body over the limit is kept as refused, with its position, key, headers and first bytes, and gone past", async () => {
  const host = new Host();
  host.maxEventBytes = 10;
  const take = createTaker(host, { oversize: "refuse", signal: new AbortController().signal });
  const headers = packHeaders([["a", "b"]]);
  const large = arrival({ key: "k", headers, body: Buffer.alloc(5000, "x") });
  assert.equal(await take(large, () => "orders-0-17"), null);
  const [refusal] = host.refusals;
  assert.equal(refusal?.reason, "too_large");
  assert.equal(refusal?.address, "orders-0-17");
  assert.equal(refusal?.key, "k");
  assert.equal(refusal?.headers, headers);
  assert.equal(refusal?.body?.byteLength, 1024);
  assert.equal(host.appended.length, 0);
});

test("what is over another limit is kept as refused by its reason, also while the journal is full at first", async () => {
  const host = new Host();
  host.append = () => Promise.reject(new LeatError("refused", "key_too_long", "the key is over 1024 bytes"));
  host.failure = full();
  const take = createTaker(host, { oversize: "refuse", signal: new AbortController().signal });
  const taken = take(arrival(), () => "orders-0-18");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(host.refusals.length, 0);
  host.failure = null;
  assert.equal(await taken, null);
  assert.equal(host.refusals[0]?.reason, "key_too_long");
});

test("`oversize: hold` says that it waits and stays pending until it is stopped", async () => {
  const host = new Host();
  host.maxEventBytes = 1;
  const stop = new AbortController();
  let told = 0;
  const take = createTaker(host, { oversize: "hold", signal: stop.signal, held: () => told++ });
  let settled = false;
  const taken = take(arrival(), () => "orders-0-17").finally(() => {
    settled = true;
  });
  const rejected = assert.rejects(taken);
  const standing = await waitFor("its standing", () => host.standings[0]);
  assert.equal(standing.state === "waiting" && standing.error, "oversize");
  assert.match(standing.state === "waiting" ? standing.message : "", /orders-0-17.*2 bytes, and 1 may be/);
  assert.equal(settled, false);
  assert.equal(told, 1);
  stop.abort();
  await rejected;
  assert.equal(host.refusals.length, 0);
});

test("a stop ends the waiting, but an append under way is finished", async () => {
  const host = new Host();
  const stop = new AbortController();
  const take = createTaker(host, { oversize: "refuse", signal: stop.signal });
  host.holding = true;
  const taken = take(arrival({ id: "a" }), () => "orders-0-17");
  await waitFor("the append", () => host.waiting === 1);
  stop.abort();
  host.commit();
  assert.equal((await taken)?.id, "a");
  host.holding = false;
  host.failure = full();
  await assert.rejects(take(arrival(), () => "orders-0-18"));
});

test("a disk that failed is said at once", async () => {
  const host = new Host();
  host.failure = new LeatError("storage", "disk_failed", "The disk failed.");
  const take = createTaker(host, { oversize: "refuse", signal: new AbortController().signal });
  await assert.rejects(
    take(arrival(), () => "orders-0-17"),
    { kind: "storage" },
  );
});
