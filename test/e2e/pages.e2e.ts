/** The example pages beside the payer's toast, as they stand in examples/, in a real browser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { waitFor } from "../wait-for.ts";
import type { Daemon } from "./daemon.ts";
import { PRODUCER_TOKEN, picture, ROOT, startExample } from "./pages-kit.ts";

async function order(
  daemon: Daemon,
  fields: { order: string; amount: unknown; country: string; item: string },
) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${daemon.url}/orders`, {
    method: "POST",
    headers,
    body: JSON.stringify(fields),
  });
  assert.equal(response.status, 200);
}

test("dashboard: orders are on the page as they come, before it was opened, and while Leat was killed, each once", async (t) => {
  const { daemon, open, complaints } = await startExample(t, "dashboard");
  const items = ["Watering can, 9 l", "Mill stone", "Sluice gate", "Reed broom"];
  const countries = ["DE", "DE", "FR", "NL", "AT", "DE", "FR", "DK"];
  const amounts = Array.from({ length: 36 }, (_, n) => 20 + ((n * 37) % 90) + (n % 9 === 4 ? 120 : 0));
  const send = (n: number) =>
    order(daemon, {
      order: `10${10 + n}`,
      amount: amounts[n],
      country: countries[n % countries.length] ?? "",
      item: items[n % items.length] ?? "",
    });
  for (let n = 0; n < 20; n++) await send(n);
  const page = await open();
  const count = async () => Number(await page.textContent("#count"));
  await waitFor("what came before it was opened", async () => (await count()) === 20);
  for (let n = 20; n < 30; n++) await send(n);
  await send(29);
  await order(daemon, { order: "none", amount: "a lot", country: "DE", item: "Mill stone" });
  daemon.signal("SIGKILL");
  await daemon.ended();
  await daemon.start();
  for (let n = 30; n < 36; n++) await send(n);
  await waitFor("the rest", async () => (await count()) === 36, 30_000);
  const sum = amounts.reduce((all, amount) => all + amount, 0);
  assert.equal(await page.textContent("#revenue"), `€${sum.toLocaleString("en")}`);
  assert.equal(await page.locator("#orders tr").count(), 5);
  await page.waitForSelector("#state[data-state=live]");
  await page.setViewportSize({ width: 900, height: 680 });
  await picture(page, "dashboard");
  assert.deepEqual(complaints, []);
});

test("chat: who says what, who is there, who types and what was said before, also over a kill -9", async (t) => {
  const { daemon, open, complaints } = await startExample(t, "chat");
  const texts = (page: Page) => page.locator(".message .text").allTextContents();
  const members = async (page: Page) => (await page.locator("#members .name").allTextContents()).toSorted();
  const say = async (page: Page, text: string) => {
    await page.fill("input[name=text]", text);
    await page.press("input[name=text]", "Enter");
  };
  const ada = await open("user=ada");
  const bob = await open("user=bob");
  await waitFor("both to be shown to both", async () => {
    const both = JSON.stringify(["ada", "bob"]);
    return JSON.stringify(await members(ada)) === both && JSON.stringify(await members(bob)) === both;
  });
  await say(ada, "The sluice is open since seven.");
  await say(ada, "Does the wheel turn?");
  await waitFor("it at Bob's", async () => (await texts(bob)).length === 2);
  await say(bob, "Like a clock. Twelve rounds a minute.");
  await say(bob, "<b>No markup</b> comes through, by the way.");
  await waitFor("it at Ada's", async () => (await texts(ada)).length === 4);
  const said = [
    "The sluice is open since seven.",
    "Does the wheel turn?",
    "Like a clock. Twelve rounds a minute.",
    "<b>No markup</b> comes through, by the way.",
  ];
  assert.deepEqual([await texts(ada), await texts(bob)], [said, said]);
  assert.equal(await ada.locator(".message b").count(), 0);

  // Sent while nobody is there to take it.
  daemon.signal("SIGKILL");
  await daemon.ended();
  await say(ada, "Good. I come over.");
  assert.equal(await ada.locator(".message.waiting").count(), 1);
  await daemon.start();
  await waitFor("it at Bob's", async () => (await texts(bob)).at(-1) === "Good. I come over.", 30_000);
  await waitFor("its acknowledgement", async () => (await ada.locator(".message.waiting").count()) === 0);

  const cyd = await open("user=cyd");
  await waitFor("what was said before", async () => (await texts(cyd)).length === 5);
  assert.deepEqual(await texts(cyd), [...said, "Good. I come over."]);
  await waitFor("all three", async () => (await members(ada)).join() === "ada,bob,cyd", 20_000);
  await bob.type("input[name=text]", "Bring");
  await waitFor("that Bob types", async () => (await ada.textContent("#typing")) === "bob is typing…");
  await ada.waitForSelector("#state[data-state=live]");
  await picture(ada, "chat");
  await bob.close();
  await waitFor("that Bob left", async () => (await members(ada)).join() === "ada,cyd", 20_000);
  assert.deepEqual(complaints, []);
});

/** A producer's request that goes on until it is ended. */
function producer(daemon: Daemon, path: string, id: string) {
  const sent = request(`${daemon.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${PRODUCER_TOKEN}`, "leat-request-id": id },
  });
  sent.on("error", () => {});
  return sent;
}

test("job-log: lines and progress are there while the job runs; its end and its cut are told; one who comes late sees all", async (t) => {
  const { daemon, open, complaints } = await startExample(t, "job-log");
  const page = await open("job=build-42");
  const lines = (one: Page) => one.locator("#log p").allTextContents();
  const job = producer(daemon, "/logs", "build-42");
  const log = [
    "$ npm run build",
    "compiling 214 modules",
    "warning: 2 imports are never used",
    "✔ src/journal (48 files)",
    "✔ src/routing (27 files)",
    "✔ src/sinks (61 files)",
    "error TS2345 in src/client/place.ts, tried again",
    "✔ src/client (11 files)",
    "writing dist/",
  ];
  for (const [n, text] of log.entries()) {
    job.write(`${JSON.stringify({ done: n + 1, of: 12, text })}\n`);
    // While the request goes on.
    await waitFor("the line", async () => (await lines(page)).length === n + 1);
  }
  job.write("plain text is a line too\n");
  await waitFor("it", async () => (await lines(page)).length === 10);
  assert.equal(await page.textContent("#outcome"), "75 %");
  await picture(page, "job-log");
  const late = await open("job=build-42");
  await waitFor("all lines", async () => (await lines(late)).length === 10);
  assert.deepEqual(await lines(late), [...log, "plain text is a line too"]);
  job.end();
  for (const one of [page, late]) {
    await waitFor("the end", async () => (await one.textContent("#outcome")) === "Done, 10 lines");
  }

  const other = await open("job=build-43");
  const cut = producer(daemon, "/logs", "build-43");
  cut.write("one\n");
  await waitFor("its line", async () => (await lines(other)).length === 1);
  cut.destroy();
  await waitFor("the cut", async () => /^Cut off/.test((await other.textContent("#outcome")) ?? ""));
  assert.deepEqual(complaints, []);
});

test("tokens: an answer grows while the model speaks, and a page that is loaded anew has all of it", async (t) => {
  const { open, complaints } = await startExample(t, "tokens");
  const page = await open();
  const answer = async () => (await page.textContent("#answer")) ?? "";
  await page.click("button");
  await waitFor("a part of it", async () => (await answer()).length > 150);
  assert.equal(await page.locator("#answer.busy").count(), 1);
  await picture(page, "tokens");
  await page.reload();
  await waitFor("the end", async () => (await page.locator("#answer.done").count()) === 1, 30_000);
  const text = await answer();
  assert.equal(text, readFileSync(join(ROOT, "examples/tokens/answer.txt"), "utf8").trim());
  assert.deepEqual(complaints, []);
});
