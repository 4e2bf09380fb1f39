import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { type Console, createConsole } from "../../src/console/console.ts";
import { type Event, NO_HEADERS } from "../../src/event.ts";
import type { Commit, Log } from "../../src/journal/journal.ts";
import { systemClock } from "../../src/ports.ts";
import { launchChromium } from "../chromium.ts";
import { parse } from "../sinks/sse-parser.ts";
import { quietLog, TestReader } from "../sinks/stream-kit.ts";
import { waitFor } from "../wait-for.ts";

/** A log in memory; what the page needs of one. */
class MemoryLog {
  readonly events: Event[] = [];
  oldest = 1;
  readonly #listeners = new Set<(commit: Commit) => void>();

  add(...bodies: (string | Uint8Array)[]): void {
    const events = bodies.map((body, at): Event => {
      const seq = this.bounds().newest + 1 + at;
      const more = {
        subject: null,
        key: seq % 2 ? "odd" : "even",
        headers: NO_HEADERS,
        hops: 0,
        cause: null,
      };
      return {
        seq,
        source: "shop",
        id: `evt_${seq}`,
        type: `t.${seq % 3}`,
        time: Date.now(),
        body: Buffer.from(body),
        ...more,
      };
    });
    this.events.push(...events);
    const [first, last] = [events[0]?.seq ?? 0, events.at(-1)?.seq ?? 0];
    for (const listener of this.#listeners) listener({ first, last, events });
  }

  bounds() {
    return { oldest: this.oldest, newest: this.events.at(-1)?.seq ?? 0 };
  }

  async read(after: number, limit: number): Promise<Event[]> {
    return this.events.filter(({ seq }) => seq > after && seq >= this.oldest).slice(0, limit);
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(): Promise<Event | null> {
    return Promise.resolve(null);
  }

  append(): never {
    throw new Error("the page appends nothing");
  }
}

/** The admin listener as far as the page sees it. */
class Admin {
  page: Console;
  api: (request: IncomingMessage, response: ServerResponse, seq: number) => void = (_request, response) => {
    response.writeHead(404).end();
  };
  #server: Server;

  private constructor(log: Log) {
    this.page = createConsole({ log, clock: systemClock, logger: quietLog() });
    this.#server = createServer((request, response) => {
      const path = (request.url ?? "").split("?")[0] ?? "";
      const event = /^\/api\/events\/(\d+)$/.exec(path);
      if (event) this.api(request, response, Number(event[1]));
      else if (path === "/login")
        response.writeHead(200, { "content-type": "text/html" }).end(this.page.login);
      else {
        const endpoint = this.page.endpoints.find((one) => one.path === path);
        if (endpoint) void endpoint.handle(request, response, "");
        else response.writeHead(404).end();
      }
    });
  }

  static async start(log: MemoryLog, port = 0): Promise<Admin> {
    const admin = new Admin(log);
    await new Promise<void>((resolve) => admin.#server.listen(port, "127.0.0.1", resolve));
    return admin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    await this.page.stop();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("the live tail", () => {
  test("begins with the latest, goes on with what is committed, and resumes from the log", async () => {
    const log = new MemoryLog();
    log.add(...Array.from({ length: 300 }, (_, at) => `${at + 1}`));
    const admin = await Admin.start(log);
    const reader = new TestReader(`${admin.url}/tail`);
    await waitFor("the latest", () => reader.events.length === 100);
    log.add("301", "302");
    await waitFor("what is new", () => reader.events.length === 102);
    const seen = reader.data.map((data) => JSON.parse(data).seq);
    assert.deepEqual(
      seen,
      Array.from({ length: 102 }, (_, at) => at + 201),
    );
    reader.close();
    // With nobody there nothing is kept; the log has it.
    log.add("303");
    const again = new TestReader(`${admin.url}/tail`, { "last-event-id": "250" });
    await waitFor("the rest", () => again.events.length === 53);
    assert.equal(JSON.parse(again.data.at(-1) ?? "").preview, "303");
    again.close();
    await admin.stop();
  });

  test("goes on after a restart, over the same log, and tells of a gap", async () => {
    const log = new MemoryLog();
    log.add("1", "2", "3");
    let admin = await Admin.start(log);
    await admin.stop();
    log.add("4", "5");
    admin = await Admin.start(log);
    const reader = new TestReader(`${admin.url}/tail`, { "last-event-id": "3" });
    await waitFor("what came meanwhile", () => reader.events.length === 2);
    reader.close();
    log.oldest = 5;
    const late = new TestReader(`${admin.url}/tail`, { "last-event-id": "2" });
    await waitFor("the gap and the rest", () => late.events.length === 2);
    assert.deepEqual(JSON.parse(late.data[0] ?? ""), { asked: 2, oldest: 4, newest: 5 });
    late.close();
    await admin.stop();
  });

  test("shows the beginning of a body, whole characters of it, and says what is no text", async () => {
    const log = new MemoryLog();
    log.add("é".repeat(3000), Uint8Array.of(0xff, 0xfe), "");
    const admin = await Admin.start(log);
    const reader = new TestReader(`${admin.url}/tail`);
    await waitFor("three", () => reader.events.length === 3);
    const [long, bytes, none] = reader.data.map((data) => JSON.parse(data));
    assert.deepEqual([long.preview, long.bytes], ["é".repeat(1024), 6000]);
    assert.deepEqual([bytes.preview, bytes.bytes], [null, 2]);
    assert.deepEqual([none.preview, none.bytes], ["", 0]);
    reader.close();
    await admin.stop();
  });

  test("a page of another origin may not read it", async () => {
    const admin = await Admin.start(new MemoryLog());
    const response = await fetch(`${admin.url}/tail`, { headers: { origin: "https://evil.test" } });
    assert.equal(response.status, 403);
    assert.deepEqual(parse(await response.text()).events, []);
    await admin.stop();
  });
});

test("the page's files come with a policy that lets event data start nothing", async () => {
  const admin = await Admin.start(new MemoryLog());
  for (const [path, type] of [
    ["/", "text/html; charset=utf-8"],
    ["/console.js", "text/javascript; charset=utf-8"],
    ["/console.css", "text/css; charset=utf-8"],
  ]) {
    const response = await fetch(`${admin.url}${path}`);
    assert.equal(response.headers.get("content-type"), type);
    const policy = response.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    await response.text();
  }
  assert.equal((await fetch(`${admin.url}/`, { method: "POST" })).status, 405);
  await admin.stop();
});

describe("the page in Chromium", () => {
  let browser: Browser;
  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser.close());

  /** Opens the page; fails at the end of the test if it logged an error, such as a violation of its policy. */
  async function withPage(log: MemoryLog, body: (page: Page, admin: Admin) => Promise<void>): Promise<void> {
    const admin = await Admin.start(log);
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().includes("404")) errors.push(message.text());
    });
    await page.goto(admin.url);
    await waitFor("the connection", async () => (await page.textContent("#state")) === "Live");
    await body(page, admin);
    assert.deepEqual(errors, []);
    await page.close();
    await admin.stop();
  }

  test("shows events as they arrive, newest first, as text", async () => {
    const log = new MemoryLog();
    await withPage(log, async (page) => {
      await page.waitForSelector("#empty:visible");
      const forged = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
      log.add(forged, '{"n":2}');
      await page.waitForSelector(".event");
      assert.deepEqual(await page.locator(".event .body").allTextContents(), ['{"n":2}', forged]);
      assert.equal(await page.title(), "Leat");
      assert.equal(await page.locator("#events img, #events script").count(), 0);
    });
  });

  test("opens an event: its body, headers and deliveries from the API", async () => {
    const log = new MemoryLog();
    await withPage(log, async (page, admin) => {
      admin.api = (_request, response, seq) => {
        const attempt = { at: new Date().toISOString(), ms: 12, outcome: "delivered", status: 200 };
        const event = { seq, headers: [["x-sender", "<b>me</b>"]], data: { n: 1 }, cause: null };
        const deliveries = [
          { subscription: "payments/billing", replay: 0, state: "settled", due: null, attempts: [attempt] },
        ];
        response
          .writeHead(200, { "content-type": "application/json" })
          .end(JSON.stringify({ event, deliveries }));
      };
      log.add('{"n":1}');
      await page.click(".event .toggle");
      await page.waitForSelector(".deliveries");
      const text = (await page.textContent(".detail")) ?? "";
      for (const part of ["payments/billing", "delivered", "HTTP 200", "x-sender", "<b>me</b>", '"n": 1']) {
        assert.ok(text.includes(part), part);
      }
      assert.equal(await page.getAttribute(".toggle", "aria-expanded"), "true");
      await page.click(".event .toggle");
      assert.equal(await page.locator(".detail").count(), 0);
    });
  });

  test("shows what it has where the API has nothing", async () => {
    const log = new MemoryLog();
    await withPage(log, async (page) => {
      log.add('{"n":1}');
      await page.click(".event .body");
      await page.waitForSelector(".detail");
      await waitFor("the note", async () => /isn't kept/.test((await page.textContent(".detail")) ?? ""));
      assert.match((await page.textContent(".detail pre")) ?? "", /"n": 1/);
    });
  });

  test("keeps 500 rows, whatever comes", async () => {
    const log = new MemoryLog();
    await withPage(log, async (page) => {
      for (let burst = 0; burst < 10; burst++)
        log.add(...Array.from({ length: 300 }, (_, at) => `${burst}-${at}`));
      await waitFor("the last", async () => (await page.textContent(".event .body")) === "9-299");
      assert.equal(await page.locator(".event").count(), 500);
      await waitFor("the count", async () => (await page.textContent("#count"))?.includes("3000 events"));
    });
  });

  test("filters, and holds back while paused", async () => {
    const log = new MemoryLog();
    await withPage(log, async (page) => {
      log.add("apple", "pear", "apple pie");
      await waitFor("three", async () => (await page.locator(".event").count()) === 3);
      await page.fill("#filter", "APPLE key:odd");
      assert.deepEqual(await page.locator(".event:visible .body").allTextContents(), ["apple pie", "apple"]);
      await page.fill("#filter", "nothing like it");
      await page.waitForSelector("#none:visible");
      await page.fill("#filter", "");
      await page.click("#pause");
      log.add("held");
      await waitFor("the held one", async () => (await page.textContent("#pause")) === "Resume (1)");
      assert.equal(await page.locator(".event").count(), 3);
      await page.click("#pause");
      await waitFor("it", async () => (await page.textContent(".event .body")) === "held");
      await page.click("#clear");
      await page.waitForSelector("#empty:visible");
    });
  });

  test("goes on by itself after a restart, and shows a gap", async () => {
    const log = new MemoryLog();
    let admin = await Admin.start(log);
    const { port } = admin;
    const page = await browser.newPage();
    await page.goto(admin.url);
    log.add("1", "2");
    await waitFor("two", async () => (await page.locator(".event").count()) === 2);
    await admin.stop();
    await waitFor("the state", async () => (await page.getAttribute("#state", "data-state")) !== "live");
    log.add("3");
    admin = await Admin.start(log, port);
    await waitFor("the third", async () => (await page.locator(".event").count()) === 3, 20_000);
    await admin.stop();
    await waitFor("the state", async () => (await page.getAttribute("#state", "data-state")) !== "live");
    log.add("4", "5");
    log.oldest = 5;
    admin = await Admin.start(log, port);
    await waitFor(
      "the gap",
      async () => /came after 3 and up to 4/.test((await page.textContent(".gap")) ?? ""),
      20_000,
    );
    assert.deepEqual(await page.locator(".event .body").allTextContents(), ["5", "3", "2", "1"]);
    await page.close();
    await admin.stop();
  });

  test("the login form posts the token, and says why it is asked again", async () => {
    const admin = await Admin.start(new MemoryLog());
    const page = await browser.newPage();
    await page.goto(`${admin.url}/login?wrong`);
    assert.match((await page.textContent("[role=alert]")) ?? "", /not the token/);
    await page.fill("input[name=token]", "secret");
    const [request] = await Promise.all([page.waitForRequest(`${admin.url}/login`), page.click("button")]);
    assert.equal(request.method(), "POST");
    assert.equal(request.postData(), "token=secret");
    await page.close();
    await admin.stop();
  });
});
