import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Arrival } from "../../src/component.ts";
import { LeatError } from "../../src/errors.ts";
import { NO_HEADERS } from "../../src/event.ts";
import { systemClock } from "../../src/ports.ts";
import { createTaker } from "../../src/sources/take.ts";
import { waitFor } from "../wait-for.ts";
import { TestHost } from "./host.ts";

class Host extends TestHost {
  override readonly clock = systemClock;
}

const arrival = (n: number): Arrival => ({
  id: String(n),
  type: null,
  key: "k",
  subject: null,
  headers: NO_HEADERS,
  body: Buffer.from(String(n)),
  hops: 0,
  address: () => "t/0",
});

test("while the journal puts some off, those behind them wait, and all come in order", async () => {
  const host = new Host();
  const order: string[] = [];
  let [room, asked] = [3, 0];
  host.append = async ({ id }) => {
    asked++;
    // Room for a few only; some comes back while those that were put off wait.
    if (room === 0) throw new LeatError("unavailable", "journal_busy", "Too much waits to be committed.");
    room--;
    order.push(id ?? "");
    setTimeout(() => (room += 2), 30);
    return { seq: 1, id: id ?? "", duplicate: false, differs: false };
  };
  const take = createTaker(host, { oversize: "refuse", signal: AbortSignal.timeout(20_000) });
  const numbers = Array.from({ length: 30 }, (_, n) => n);
  await Promise.all(numbers.map((n) => take(arrival(n), () => `t/0@${n}`)));
  assert.deepEqual(order.map(Number), numbers);
  assert.ok(asked > 30);
});

test("what was put off and then appended stays in nobody's memory", async () => {
  const host = new Host();
  let full = true;
  host.append = async ({ id }) => {
    if (full) throw new LeatError("unavailable", "journal_busy", "Too much waits to be committed.");
    return { seq: 1, id: id ?? "", duplicate: false, differs: false };
  };
  const take = createTaker(host, { oversize: "refuse", signal: AbortSignal.timeout(20_000) });
  const taken: WeakRef<Arrival>[] = [];
  const one = (n: number) => {
    const came = arrival(n);
    taken.push(new WeakRef(came));
    return take(came, () => `t/0@${n}`);
  };
  const all = Promise.all([0, 1, 2].map(one));
  setTimeout(() => (full = false), 50);
  await all;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // A WeakRef holds what it was made of until the turn is over.
  await waitFor("nothing to hold them", () => {
    collect();
    return taken.every((each) => each.deref() === undefined);
  });
  // The line they came by is still there.
  await take(arrival(3), () => "t/0@3");
});

test("one whose name takes longer to be found holds back those behind it, and only those", async () => {
  const host = new Host();
  const order: string[] = [];
  const naming = [40, 0, null, 10, null, 0];
  const begun: string[] = [];
  host.identify = ({ id }) => {
    begun.push(id ?? "");
    const ms = naming[Number(id)];
    if (ms === null || ms === undefined) return undefined;
    return new Promise((resolve) => setTimeout(resolve, ms));
  };
  host.append = async ({ id }) => {
    order.push(id ?? "");
    return { seq: 1, id: id ?? "", duplicate: false, differs: false };
  };
  const take = createTaker(host, { oversize: "refuse", signal: AbortSignal.timeout(20_000) });
  const taken = naming.map((_, n) => take(arrival(n), () => `t/0@${n}`));
  assert.equal(begun.length, naming.length, "all are being named");
  await Promise.all(taken);
  assert.deepEqual(order, ["0", "1", "2", "3", "4", "5"]);
});

test("one that can't be named is refused, and those behind it go on", async () => {
  const host = new Host();
  host.identify = async ({ id }) => {
    if (id === "0") throw new LeatError("refused", "key_too_long", "The key is over 1024 bytes.");
  };
  const take = createTaker(host, { oversize: "refuse", signal: AbortSignal.timeout(20_000) });
  assert.equal(await take(arrival(0), () => "t/0@0"), null);
  assert.equal((await take(arrival(1), () => "t/0@1"))?.id, "1");
  assert.deepEqual(
    host.refusals.map(({ reason }) => reason),
    ["key_too_long"],
  );
});
