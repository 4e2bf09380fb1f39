/** What only a browser shows: a page's own EventSource, across origins, over restarts. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../chromium.ts";
import { waitFor } from "../wait-for.ts";
import { frame, StreamUnderTest, temporaryFolder } from "./stream-kit.ts";

let browser: Browser;
const pages = createServer((_request, response) => {
  response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>app</title>");
});

before(async () => {
  browser = await launchChromium();
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
});

after(async () => {
  await StreamUnderTest.closeAll();
  await browser.close();
  pages.closeAllConnections();
  await new Promise((resolve) => pages.close(resolve));
});

const app = () => `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;

/** What the page has heard, as [type, data, lastEventId]. */
function heard(page: Page): Promise<[string, string, string][]> {
  return page.evaluate("window.heard");
}

async function listen(url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(app());
  await page.evaluate(`
    window.heard = [];
    window.source = new EventSource(${JSON.stringify(url)});
    window.source.onopen = () => heard.push(["open", "", ""]);
    for (const type of ["message", "gap", "bye", "order.paid"]) {
      source.addEventListener(type, (e) => heard.push([type, e.data, e.lastEventId]));
    }
  `);
  return page;
}

test("a page of another origin comes back by itself after a restart and misses nothing", async () => {
  const folder = temporaryFolder();
  const fields = { origins: [app()] };
  let stream = await StreamUnderTest.start(fields, folder);
  const { port } = stream;
  await stream.publish(100, []);
  const page = await listen(`${stream.url}?channel=a`);
  await waitFor("the page", async () => (await heard(page)).length === 1);
  await stream.publish(101, [frame("a", "one\ntwo"), frame("a", "")]);
  await waitFor("both", async () => (await heard(page)).length === 3);

  // Politely: `bye`, then it comes back after what `retry` said.
  await stream.sink.stop();
  await waitFor("bye", async () => (await heard(page)).some(([type]) => type === "bye"));
  await stream.kill();
  stream = await StreamUnderTest.start(fields, folder, port);
  await stream.publish(102, [frame("a", "while away")]);
  await waitFor("what came while away", async () =>
    (await heard(page)).some(([, data]) => data === "while away"),
  );

  // As by kill -9.
  await stream.kill();
  stream = await StreamUnderTest.start(fields, folder, port);
  await stream.publish(103, [frame("b", "not its"), frame("a", "after the kill")]);
  await waitFor(
    "the last",
    async () => (await heard(page)).some(([, data]) => data === "after the kill"),
    20_000,
  );

  assert.deepEqual(
    (await heard(page)).filter(([type]) => type !== "open"),
    [
      ["message", "one\ntwo", "100"],
      ["message", "", "101"],
      ["bye", '{"reason":"restart"}', "101"],
      ["message", "while away", "102"],
      ["message", "after the kill", "103"],
    ],
  );
  await page.close();
  await stream.close();
});

test("a refusal for load brings the page back, one for its origin ends it", async () => {
  const stream = await StreamUnderTest.start({ origins: [app()], limits: { connections: 1 } });
  await stream.publish(5, []);
  const first = await listen(`${stream.url}?channel=a`);
  await waitFor("the first", () => stream.metrics().readers === 1);
  const second = await listen(`${stream.url}?channel=a`);
  await waitFor("bye", async () => (await heard(second)).some(([type]) => type === "bye"));
  await first.close();
  await waitFor("the second to be in", () => stream.metrics().readers === 1, 20_000);
  await stream.publish(6, [frame("a", "in")]);
  await waitFor("its event", async () => (await heard(second)).some(([, data]) => data === "in"));
  await second.close();
  await stream.close();

  const closed = await StreamUnderTest.start();
  const page = await listen(`${closed.url}?channel=a`);
  await waitFor("the end", async () => (await page.evaluate("source.readyState")) === 2);
  assert.deepEqual(await heard(page), []);
  await page.close();
  await closed.close();
});

test("a gap is heard, and names where it goes on", async () => {
  const stream = await StreamUnderTest.start({ origins: ["*"], event: true });
  await stream.publish(50, [{ ...frame("a", "kept"), type: "order.paid" }]);
  const page = await listen(`${stream.url}?channel=a&last_event_id=7`);
  await waitFor("both", async () => (await heard(page)).length === 3);
  assert.deepEqual((await heard(page)).slice(1), [
    ["gap", '{"asked":7,"oldest":49,"newest":50}', "49"],
    ["order.paid", "kept", "50"],
  ]);
  await page.close();
  await stream.close();
});
