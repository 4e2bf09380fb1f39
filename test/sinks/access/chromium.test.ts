/** What only a browser shows: cookies that it sends by itself, tickets across origins, and what a foreign page gets. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "../../chromium.ts";
import { waitFor } from "../../wait-for.ts";
import { frame, StreamUnderTest } from "../stream-kit.ts";
import { byHmac, mint, now } from "./kit.ts";

let browser: Browser;
const apps: Server[] = [];

async function startApp(): Promise<string> {
  const app = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>app</title>");
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  apps.push(app);
  return `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
}

before(async () => {
  browser = await launchChromium();
});

after(async () => {
  await StreamUnderTest.closeAll();
  await browser.close();
  for (const app of apps) {
    app.closeAllConnections();
    await new Promise((resolve) => app.close(resolve));
  }
});

/** A page of `origin` whose user has this token in a cookie; cookies know no ports. */
async function pageOf(
  origin: string,
  token: string | null,
): Promise<{ page: Page; context: BrowserContext }> {
  const context = await browser.newContext();
  if (token !== null) await setToken(context, token);
  const page = await context.newPage();
  await page.goto(origin);
  return { page, context };
}

function setToken(context: BrowserContext, token: string): Promise<void> {
  return context.addCookies([
    { name: "session", value: token, domain: "127.0.0.1", path: "/", httpOnly: true, sameSite: "Lax" },
  ]);
}

async function listen(page: Page, url: string, withCredentials: boolean): Promise<void> {
  await page.evaluate(`
    window.heard = [];
    window.source = new EventSource(${JSON.stringify(url)}, { withCredentials: ${withCredentials} });
    for (const type of ["open", "message", "bye", "revoked"])
      source.addEventListener(type, (e) => heard.push([type, e.data ?? ""]));
    source.addEventListener("error", () => heard.push(["error", String(source.readyState)]));
  `);
}

const heard = (page: Page): Promise<[string, string][]> => page.evaluate("window.heard");

const CLOSED = "2";

test("a page reads by its cookie; when the token ends it comes back with the one that it has by then, and misses nothing", async () => {
  const app = await startApp();
  const auth = { ...byHmac, cookie: "session", tolerance: "0s" };
  const stream = await StreamUnderTest.start({ origins: [app], auth, channels: ["user.{{ claims.sub }}"] });
  const { page, context } = await pageOf(app, await mint({ exp: now() + 3 }));
  await listen(page, stream.url, true);
  await waitFor("the page", async () => (await heard(page)).length > 0);
  await stream.publish(1, [frame("user.42", "one"), frame("user.43", "another's")]);
  await waitFor("the first", async () => (await heard(page)).some(([, data]) => data === "one"));
  await setToken(context, await mint());
  await waitFor("the bye", async () => (await heard(page)).some(([type]) => type === "bye"));
  await stream.publish(2, [frame("user.42", "two")]);
  await waitFor("what it missed", async () => (await heard(page)).some(([, data]) => data === "two"));
  const all = await heard(page);
  assert.deepEqual(
    all.filter(([type]) => type !== "error"),
    [
      ["open", ""],
      ["message", "one"],
      ["bye", '{"reason":"expired"}'],
      ["open", ""],
      ["message", "two"],
    ],
  );
  await context.close();
  await stream.close();
});

test("a page whose token has ended and is no other gives up, and a foreign page gets nothing with its user's cookie", async () => {
  const [app, evil] = [await startApp(), await startApp()];
  const auth = { ...byHmac, cookie: "session" };
  const stream = await StreamUnderTest.start({ origins: [app], auth });
  for (const [origin, token] of [
    [app, await mint({ exp: now() - 60 })],
    [app, null],
    [evil, await mint()],
  ] as const) {
    const { page, context } = await pageOf(origin, token);
    await listen(page, `${stream.url}?channel=a`, true);
    await waitFor("the end", async () =>
      (await heard(page)).some(([type, state]) => type === "error" && state === CLOSED),
    );
    const ticket = await page.evaluate(`
      fetch(${JSON.stringify(`${stream.url}/ticket`)}, { method: "POST", credentials: "include" })
        .then((answer) => answer.json()).then((answer) => answer.ticket ?? null, () => null)
    `);
    assert.equal(ticket, null);
    await context.close();
  }
  await stream.close();
});

test("a page of another origin without a cookie reads by a ticket that it got with its token", async () => {
  const app = await startApp();
  const stream = await StreamUnderTest.start({
    origins: [app],
    auth: byHmac,
    channels: ["user.{{ claims.sub }}"],
  });
  const { page, context } = await pageOf(app, null);
  const ticket = await page.evaluate(`
    fetch(${JSON.stringify(`${stream.url}/ticket`)}, { method: "POST", headers: { authorization: "Bearer ${await mint()}" } })
      .then((answer) => answer.json()).then((answer) => answer.ticket)
  `);
  await listen(page, `${stream.url}?ticket=${ticket}`, false);
  await waitFor("the page", async () => (await heard(page)).length > 0);
  await stream.publish(1, [frame("user.42", "one")]);
  await waitFor("the event", async () => (await heard(page)).some(([, data]) => data === "one"));
  await context.close();
  await stream.close();
});
