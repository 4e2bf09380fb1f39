/** The client's one file in a real browser: what Node's fetch and WebSocket don't show. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { bundleClient } from "../../scripts/client.ts";
import { launchChromium } from "../chromium.ts";
import { waitFor } from "../wait-for.ts";
import { post, streaming } from "./client-kit.ts";
import type { Daemon } from "./daemon.ts";

let browser: Browser;
let library = "";
const pages = createServer((request, response) => {
  if (request.url?.startsWith("/over")) {
    response.writeHead(204).end();
    return;
  }
  const script = request.url === "/leat-client.js";
  response.setHeader("content-type", script ? "text/javascript" : "text/html");
  response.end(script ? library : "<!doctype html><title>app</title>");
});
const origin = () => `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;

before(async () => {
  library = bundleClient();
  pages.listen(0, "127.0.0.1");
  await once(pages, "listening");
  browser = await launchChromium();
});
after(async () => {
  await browser.close();
  pages.closeAllConnections();
  pages.close();
});

const CONFIG = `
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }
sinks:
  plain: { type: sse, path: /plain, origins: "\${ORIGIN}", auth: { type: none }, channels: [a], event: true, heartbeat: 200ms }
  closed: { type: sse, path: /closed, origins: "\${ORIGIN}", auth: { type: bearer, token: sesame-sesame-sesame }, channels: [a] }
  live: { type: websocket, path: /ws, origins: "\${ORIGIN}", auth: { type: none }, channels: [a, b], publish: [b], heartbeat: 200ms }
routes:
  each: { from: in, to: [{ sink: plain, channel: a }, { sink: closed, channel: a }, { sink: live, channel: a }] }
  said: { from: live, to: { sink: live, channel: "{{ subject }}" } }
`;

/** A page that has `connect`, `StreamError` and `got`, to which `follow` adds. */
async function opened(t: TestContext): Promise<Page> {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(origin());
  await page.evaluate(`import("/leat-client.js").then((library) => {
    Object.assign(window, library);
    window.got = [];
    window.states = [];
    window.follow = async (connection) => {
      window.connection = connection;
      connection.on("status", (news) => states.push([news.status, news.reason ?? news.error?.code ?? ""]));
      for await (const { data } of connection) got.push(data.n);
    };
  })`);
  return page;
}

const started = (t: TestContext): Promise<Daemon> => streaming(t, CONFIG, { ORIGIN: origin() });
const got = (page: Page): Promise<number[]> => page.evaluate("got");
const live = (page: Page) => waitFor("the page", () => page.evaluate("connection.status === 'live'"));
const upTo = (total: number) => Array.from({ length: total }, (_, n) => n);

/** An HTTP proxy before the daemon, as it is while the daemon restarts: `down` answers 502 to all. */
async function proxy(t: TestContext, daemon: Daemon) {
  const state = { down: false, url: "" };
  const server = createServer((incoming, response) => {
    if (state.down) {
      response.writeHead(502, { "access-control-allow-origin": origin() }).end("bad gateway");
      return;
    }
    const { method, headers, url } = incoming;
    const outgoing = request(`${daemon.url}${url}`, { method: method ?? "GET", headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    outgoing.on("error", () => response.destroy());
    response.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { state, cut: () => server.closeAllConnections() };
}

test("an EventSource that a proxy's 502 ended for good is opened again, and misses nothing", async (t) => {
  const daemon = await started(t);
  const { state, cut } = await proxy(t, daemon);
  const page = await opened(t);
  await page.evaluate(
    `follow(connect("${state.url}/plain", { events: ["webhook"], backoff: { initial: 100 } })); 0`,
  );
  await live(page);
  for (const n of [0, 1]) await post(daemon, { id: `${n}`, n });
  await waitFor("both", async () => (await got(page)).length === 2);
  state.down = true;
  cut();
  daemon.signal("SIGKILL");
  await daemon.ended();
  await waitFor(
    "that it met the 502",
    () => page.evaluate("states.some(([status]) => status === 'waiting')"),
    20_000,
  );
  await daemon.start();
  for (const n of [2, 3]) await post(daemon, { id: `${n}`, n });
  state.down = false;
  await waitFor("all four", async () => (await got(page)).length === 4, 30_000);
  assert.deepEqual(await got(page), upTo(4));
});

test("an EventSource that is refused for good ends with the server's reason", async (t) => {
  const daemon = await started(t);
  const page = await opened(t);
  const code = await page.evaluate(
    `follow(connect("${daemon.url}/plain", { channels: ["other"] })).catch((error) => error.code)`,
  );
  assert.equal(code, "channel_not_allowed");
  assert.deepEqual(await page.evaluate("states.at(-1)"), ["closed", "channel_not_allowed"]);
});

test("an EventSource that is answered 204 ends for good", async (t) => {
  const page = await opened(t);
  const code = await page.evaluate(
    `follow(connect("/over", { backoff: { initial: 10, max: 20 } })).catch((error) => error.code)`,
  );
  assert.equal(code, "http_204");
});

test("a ticket whose channel is refused ends it with the server's reason: no more tickets are taken for it", async (t) => {
  const daemon = await started(t);
  const page = await opened(t);
  const code = await page.evaluate(`
    window.tickets = 0;
    follow(connect("${daemon.url}/closed", {
      channels: ["other"],
      backoff: { initial: 10, max: 20 },
      ticket: async () => {
        tickets++;
        const headers = { authorization: "Bearer sesame-sesame-sesame" };
        const answer = await fetch("${daemon.url}/closed/ticket", { method: "POST", headers });
        return (await answer.json()).ticket;
      },
    })).catch((error) => error.code)
  `);
  assert.equal(code, "channel_not_allowed");
  assert.deepEqual(await page.evaluate("states.at(-1)"), ["closed", "channel_not_allowed"]);
  assert.equal(await page.evaluate("tickets"), 1);
});

test("a page reads with a token, or with tickets, each with one of its own over a kill -9", async (t) => {
  const daemon = await started(t);
  const pagesOpen = [await opened(t), await opened(t)];
  const ways = [
    `token: () => "sesame-sesame-sesame"`,
    `ticket: async () => {
      const headers = { authorization: "Bearer sesame-sesame-sesame" };
      const answer = await fetch("${daemon.url}/closed/ticket", { method: "POST", headers });
      return (await answer.json()).ticket;
    }`,
  ];
  for (const [at, page] of pagesOpen.entries()) {
    await page.evaluate(
      `follow(connect("${daemon.url}/closed", { ${ways[at]}, backoff: { initial: 100, max: 500 } })); 0`,
    );
    await live(page);
  }
  // The first kill comes before the first event, and before the first heartbeat that wasn't asked for.
  for (const n of [0, 1, 2, 3]) {
    if (n % 2 === 0) {
      daemon.signal("SIGKILL");
      await daemon.ended();
      await daemon.start();
    }
    await post(daemon, { id: `${n}`, n });
  }
  for (const page of pagesOpen) {
    await waitFor("all four", async () => (await got(page)).length === 4, 30_000);
    assert.deepEqual(await got(page), upTo(4));
  }
});

test("a page's WebSocket resumes and is acknowledged over a kill -9", async (t) => {
  const daemon = await started(t);
  const page = await opened(t);
  await page.evaluate(`
    follow(connect("${daemon.url}/ws", { transport: "websocket", channels: ["b"], backoff: { initial: 50, max: 500 } }));
    window.acks = [];
    window.say = (n) => connection.publish("b", { n }).then(({ seq }) => acks.push(seq));
    0
  `);
  await live(page);
  for (let n = 0; n < 60; n++) {
    await page.evaluate(`say(${n}); 0`);
    if (n % 20 !== 10) continue;
    daemon.signal("SIGKILL");
    await daemon.ended();
    await daemon.start();
  }
  await waitFor("all of them", async () => (await got(page)).length >= 60, 30_000);
  await waitFor("their acknowledgements", () => page.evaluate("acks.length === 60"));
  assert.deepEqual(
    (await got(page)).toSorted((a, b) => a - b),
    upTo(60),
  );
});

test("a page that was offline is back as soon as the browser is", async (t) => {
  const daemon = await started(t);
  const page = await opened(t);
  // It would wait for a minute or so.
  await page.evaluate(
    `follow(connect("${daemon.url}/ws", { transport: "websocket", channels: ["a"], backoff: { initial: 6e5, max: 6e5 } })); 0`,
  );
  await live(page);
  // From here on it has a place on the channel.
  await post(daemon, { id: "0", n: 0 });
  await waitFor("the first", async () => (await got(page)).length === 1);
  await page.context().setOffline(true);
  daemon.signal("SIGKILL");
  await daemon.ended();
  await waitFor("that it waits", () => page.evaluate("connection.status === 'waiting'"));
  await daemon.start();
  await post(daemon, { id: "1", n: 1 });
  await page.context().setOffline(false);
  await waitFor("what came meanwhile", async () => (await got(page)).length === 2);
});
