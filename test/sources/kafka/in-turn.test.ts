import assert from "node:assert/strict";
import { test } from "node:test";
import type { Arrival } from "../../../src/component.ts";
import { LeatError } from "../../../src/errors.ts";
import { NO_HEADERS } from "../../../src/event.ts";
import { systemClock } from "../../../src/ports.ts";
import { inTurn } from "../../../src/sources/kafka/in-turn.ts";
import { createTaker } from "../../../src/sources/take.ts";
import { TestHost } from "../host.ts";

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
  const host = new (class extends TestHost {
    override readonly clock = systemClock;
  })();
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
  const take = createTaker(inTurn(host), { oversize: "refuse", signal: AbortSignal.timeout(20_000) });
  const numbers = Array.from({ length: 30 }, (_, n) => n);
  await Promise.all(numbers.map((n) => take(arrival(n), `t/0@${n}`)));
  assert.deepEqual(order.map(Number), numbers);
  assert.ok(asked > 30);
});
