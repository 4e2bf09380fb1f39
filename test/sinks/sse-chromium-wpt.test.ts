/**
 * The cases of web-platform-tests' eventsource/ that concern a server, in a real Chromium: what it makes of bytes is what
 * our parser of tests makes of them, what events hold comes out as it went in, and each of our refusals ends it or
 * brings it back as it should.
 */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { StreamFrame } from "../../src/component.ts";
import { launchChromium } from "../chromium.ts";
import { waitFor } from "../wait-for.ts";
import { parse } from "./sse-parser.ts";
import { frame, StreamUnderTest } from "./stream-kit.ts";

let browser: Browser;
let page: Page;
/** With an icon of its own: a browser would ask for one, and that isn't what is tested. */
const PAGE = '<!doctype html><title>page</title><link rel="icon" href="data:,">';
let respond: RequestListener = (_request, response) => response.end();
const server = createServer((request, response) => {
  if (request.url === "/page") {
    response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  } else respond(request, response);
});
const origin = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

before(async () => {
  browser = await launchChromium();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  page = await browser.newPage();
  await page.goto(`${origin()}/page`);
});

after(async () => {
  await StreamUnderTest.closeAll();
  await browser.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

type Heard = [type: string, data: string, lastEventId: string];

/** Opens one; what it hears of these types lies in `window.heard`, its errors' states in `window.states`. */
function open(url: string, types: readonly string[]): Promise<void> {
  return page.evaluate(
    `window.source?.close(); window.heard = []; window.states = [];
    window.source = new EventSource(${JSON.stringify(url)});
    for (const type of ${JSON.stringify(["message", ...types])}) {
      source.addEventListener(type, (e) => heard.push([type, e.data, e.lastEventId]));
    }
    source.onerror = () => states.push(source.readyState);`,
  );
}

const heard = () => page.evaluate("window.heard") as Promise<Heard[]>;
const states = () => page.evaluate("window.states") as Promise<number[]>;
const CONNECTING = 0;
const CLOSED = 2;

// ------------------------------------------------------------------------------------------------------------ parsing

/** Each ends by an event `end`, so that it is known when all was read. */
const STREAMS: Readonly<Record<string, string>> = {
  "a BOM at the beginning, and one that is none": "\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n",
  "two BOMs": "\ufeff\ufeffdata:1\n\ndata:2\n\n",
  comments: ":\0\ndata:1\n:\ndata:2\n:x\ndata:3\n\n",
  "a comment as long as a proxy's buffer": `:${"x".repeat(8192)}\ndata:1\n\n`,
  "fields without a colon, and without a value": "data:\n\ndata\ndata\n\ndata:test\n\n",
  "a field of spaces": "data: a\n\ndata:  b\n\ndata :c\ndata:d\n\n",
  "names of events": "event:test\ndata:x\n\ndata:y\n\nevent:\ndata:z\n\nevent: \ndata:w\n\n",
  "an event without data": "event:test\n\ndata:x\n\n",
  "ids, none, and an empty one": "id:1\ndata:x\n\ndata:y\n\nid\ndata:z\n\nid:2\n\ndata:w\n\n",
  "an id with NUL": "id:1\ndata:x\n\nid:2\0\ndata:y\n\n",
  "an id beyond ASCII": "id:\u2026\ndata:x\n\n",
  "CR, LF and CRLF": "data:a\r\ndata:b\rdata:c\ndata:d\r\n\r\ndata:e\r\rdata:f\n\n",
  "unknown fields": "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:comment\ndata:test\n\n",
  "what looks like a field":
    "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
  "a tab": "data:\ttest\rdata: \ndata:test\n\n",
  "what is no UTF-8's neighbour": "data:ok\u2026\u{1f600}\n\n",
  "retry that is none": "retry:1000x\nretry: 3000\nretry:-1\nretry:\ndata:x\n\n",
};

describe("bytes to events: the parser that the tests rely on is as Chromium's", () => {
  for (const [name, stream] of Object.entries(STREAMS)) {
    test(name, async () => {
      const bytes = `${stream}event:end\ndata:end\n\ndata:never ended`;
      let asked = 0;
      respond = (_request, response) => {
        // Only once: what it would come back with isn't asked here.
        response.writeHead(asked++ === 0 ? 200 : 204, { "content-type": "text/event-stream" });
        response.end(asked === 1 ? bytes : undefined);
      };
      await open("/stream", ["test", "end"]);
      await waitFor("the end", async () => (await heard()).some(([type]) => type === "end"));
      const wanted = parse(bytes).events.map(
        ({ type, data, lastEventId }): Heard => [type, data, lastEventId],
      );
      assert.deepEqual(await heard(), wanted);
    });
  }
});

// ------------------------------------------------------------------------------------------------- what events hold

const HOSTILE = [
  "\r",
  "\n",
  "\r\n",
  "\n\r",
  "\0",
  "\ufeff",
  "\u2028",
  "\n\ndata: forged\n\n",
  "\rid: 9\r\r",
  ": x",
  " ",
  "",
  "retry: 1\n",
];

test("CR, LF, NUL and BOM in data, type, id and channel name forge nothing and lose nothing", async () => {
  const stream = await StreamUnderTest.start({ origins: ["*"], event: true, channels: ["**"] });
  await stream.publish(1, []);
  await open(`${stream.url}?channel=**`, ["t", "gap", "bye", "dropped", "heartbeat"]);
  await waitFor("the page", () => stream.metrics().readers === 1);
  const bodies = HOSTILE.flatMap((one) => [one, `a${one}b`, `${one}{}`]);
  let seq = 1;
  for (const body of bodies) {
    const frames: StreamFrame[] = [
      { ...frame("a", body), type: "t", id: `i${body}` },
      { ...frame(`c${body}`, "by channel"), type: `t${body}` },
      { ...frame("a", "by type"), type: body === "" ? "gap" : body },
    ];
    await stream.publish(++seq, frames);
  }
  await stream.publish(++seq, [{ ...frame("a", "the end"), type: "t" }]);
  await waitFor("the end", async () => (await heard()).at(-1)?.[1] === "the end");
  const got = await heard();
  // A reader sees each end of a line as LF.
  const seen = (body: string) => body.replace(/\r\n|\r/g, "\n");
  assert.deepEqual(
    got.filter(([type]) => type === "t").flatMap(([, data]) => (data === "by channel" ? [] : [data])),
    [...bodies.map(seen), "the end"],
  );
  assert.equal(got.at(-1)?.[2], String(seq));
  const forged = got.filter(([type]) => ["gap", "bye", "dropped", "heartbeat"].includes(type));
  assert.deepEqual(forged, []);
  assert.deepEqual(await states(), []);
  await page.evaluate("source.close()");
  await stream.close();
});

// ---------------------------------------------------------------------------------------------------- its connection

describe("statuses: what is final ends it, what passes brings it back", () => {
  test("a name, a channel or a token that isn't allowed ends it", async () => {
    const stream = await StreamUnderTest.start({ origins: ["*"], channels: ["a"] });
    await open(`${stream.url}?channel=b`, []);
    await waitFor("the end", async () => (await states()).includes(CLOSED));
    await stream.close();
    const closed = await StreamUnderTest.start({
      origins: ["*"],
      auth: { type: "bearer", token: "t0ken" },
    });
    await open(`${closed.url}?channel=a`, []);
    await waitFor("the end", async () => (await states()).includes(CLOSED));
    await closed.close();
  });

  test("load and drain don't: it comes back after what retry said, not before", async () => {
    const stream = await StreamUnderTest.start({
      origins: ["*"],
      limits: { connections: 1 },
      retry: "300ms",
    });
    const first = await fetch(`${stream.url}?channel=a`);
    await open(`${stream.url}?channel=a`, ["bye"]);
    await waitFor("two refusals", async () => (await heard()).length >= 2);
    assert.deepEqual((await heard())[0]?.slice(0, 2), ["bye", '{"reason":"load"}']);
    assert.ok((await states()).every((state) => state === CONNECTING));
    await first.body?.cancel();
    await waitFor("it to be in", async () => (await page.evaluate("source.readyState")) === 1);
    await waitFor("the place", () => stream.metrics().readers === 1);
    await stream.publish(7, [frame("a", "in")]);
    await waitFor("its event", async () => (await heard()).some(([, data]) => data === "in"));
    await page.evaluate("source.close()");
    await stream.close();
  });

  test("our ids need no preflight when a page of another origin comes back", async () => {
    const stream = await StreamUnderTest.start({ origins: ["*"], retry: "100ms", max_delay: "10s" });
    await stream.publish(Number.MAX_SAFE_INTEGER - 10, []);
    await open(`${stream.url}?channel=a`, ["bye"]);
    await waitFor("the page", () => stream.metrics().readers === 1);
    await stream.publish(Number.MAX_SAFE_INTEGER - 9, [frame("a", "one")]);
    await waitFor("one", async () => (await heard()).length === 1);
    const seen = stream.methods.length;
    await stream.replaceSink();
    await stream.publish(Number.MAX_SAFE_INTEGER - 8, [frame("a", "two")]);
    await waitFor("two", async () => (await heard()).some(([, data]) => data === "two"));
    assert.deepEqual([...new Set(stream.methods.slice(seen))], ["GET"]);
    await page.evaluate("source.close()");
    await stream.close();
  });
});

test("heartbeats are events where the page asks for them, with the position, and comments where not", async () => {
  const stream = await StreamUnderTest.start({ origins: ["*"], heartbeat: "50ms" });
  await stream.publish(41, []);
  await open(`${stream.url}?channel=a&heartbeat=event`, ["heartbeat"]);
  await waitFor("two of them", async () => (await heard()).length >= 2);
  await stream.publish(42, [frame("b", "another's")]);
  await waitFor("the new position", async () => (await heard()).at(-1)?.[1] === '{"seq":42}');
  assert.deepEqual((await heard())[0], ["heartbeat", '{"seq":41}', "41"]);
  await open(`${stream.url}?channel=a`, ["heartbeat"]);
  await waitFor("the other stream", () => page.evaluate("source.readyState === EventSource.OPEN"));
  await stream.publish(43, [frame("a", "after some")]);
  await waitFor("its event", async () => (await heard()).length === 1);
  assert.deepEqual(await heard(), [["message", "after some", "43"]]);
  await page.evaluate("source.close()");
  await stream.close();
});
