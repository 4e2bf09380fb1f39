import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { answerError, answerJson } from "../../src/http/answer.ts";
import { BodyBudget, readBody } from "../../src/http/body.ts";
import { createListener } from "../../src/http/listener.ts";
import { waitFor } from "../wait-for.ts";
import { LIMITS } from "./limits.ts";
import { keptLog } from "./log.ts";
import { RawClient } from "./raw-client.ts";

async function reader(t: TestContext, budget: BodyBudget, maxBytes: number) {
  const seen: string[] = [];
  let begun = 0;
  const listener = createListener({ address: "127.0.0.1:0", log: keptLog().log, limits: LIMITS });
  listener.setEndpoints([
    {
      path: "/",
      subtree: true,
      async handle(request, response) {
        begun++;
        const { body, fault } = await readBody(request, response, maxBytes, null, budget);
        seen.push(`${fault ?? "whole"} ${body.byteLength}`);
        if (fault === null) answerJson(response, 200, "1");
        else if (fault !== "aborted") answerError(request, response, 503, fault, "no");
      },
    },
  ]);
  await listener.start();
  t.after(() => listener.stop(0));
  const open = async () => {
    const client = await RawClient.open(listener.url);
    t.after(() => client.close());
    return client;
  };
  return { seen, open, begun: () => begun };
}

const head = (bytes: number) => `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes}\r\n\r\n`;

test("slow large bodies together stay within the budget, and give it back", async (t) => {
  const { seen, open, begun } = await reader(t, new BodyBudget(10_000), 20_000);
  const slow = await open();
  slow.send(head(9000));
  await waitFor("the first request", () => begun() === 1);
  // In pieces that arrive apart, so that they have to be gathered.
  for (let sent = 0; sent < 8000; sent += 1000) {
    slow.send(Buffer.alloc(1000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const second = await open();
  await waitFor("503 to the one beyond the budget", async () => {
    second.send(seen.length === 0 && begun() === 1 ? head(9000) : "");
    second.send(Buffer.alloc(100));
    return second.statuses().length > 0;
  });
  assert.equal(second.statuses()[0], 503);
  assert.match(seen[0] ?? "", /^crowded/);

  const small = await open();
  small.send(`${head(2)}hi`);
  assert.equal(await small.status(), 200, "a body in one piece doesn't count");

  slow.send(Buffer.alloc(1000));
  assert.equal(await slow.status(), 200);
  const third = await open();
  third.send(head(9000));
  for (let sent = 0; sent < 9000; sent += 1000) {
    third.send(Buffer.alloc(1000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await third.status(), 200, "the budget is free again");
});

test("a body of exactly the limit is whole, one byte more is too large", async (t) => {
  const { seen, open } = await reader(t, new BodyBudget(1e6), 5);
  const client = await open();
  client.send(`${head(5)}12345`);
  assert.equal(await client.status(), 200);
  client.send(`${head(6)}123456`);
  assert.equal(await client.status(2), 503);
  assert.deepEqual(seen[0], "whole 5");
  assert.match(seen[1] ?? "", /^too_large/);
});
