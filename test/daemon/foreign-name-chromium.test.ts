/**
 * DNS rebinding in a real browser: a page on the internet has its own name point at 127.0.0.1, so that what listens
 * there is of its own origin. It reads neither a stream that anyone on this machine may read nor the admin listener.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { launchChromium } from "../chromium.ts";
import { postJson, startForTest } from "./running.ts";

const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: sse, path: /events, auth: { type: none } }
  open: { type: sse, path: /open, auth: { type: none }, origins: ["*"] }
routes: { all: { from: in, to: [live, open] } }
`;

let browser: Browser;

before(async () => {
  browser = await launchChromium("--host-resolver-rules=MAP evil.test 127.0.0.1");
});

after(() => browser.close());

/** What a page at `origin` gets of `path` at its own origin: the status and text of a poll, and of an EventSource. */
async function readAt(
  origin: string,
  path: string,
): Promise<{ status: number; text: string; heard: string }> {
  const page = await browser.newPage();
  try {
    // Whatever is answered here, even a 404, is a document of that origin.
    await page.goto(`${origin}/a-page`);
    return await page.evaluate(`(async () => {
      const headers = { accept: "application/json", "last-event-id": "0" };
      const answer = await fetch("${path}", { headers });
      const text = await answer.text();
      const source = new EventSource("${path}?last_event_id=0");
      const heard = await new Promise((resolve) => {
        source.onmessage = ({ data }) => resolve(data);
        source.onerror = () => source.readyState === 2 && resolve("ended");
      });
      source.close();
      return { status: answer.status, text, heard };
    })()`);
  } finally {
    await page.close();
  }
}

test("a page whose name points at 127.0.0.1 reads neither a stream nor the admin listener", async (t) => {
  const running = await startForTest(t, YAML);
  assert.equal((await postJson(`${running.url}/in`, { secret: "of this machine" })).status, 200);
  const at = (name: string, url: string) => `http://${name}:${new URL(url).port}`;

  for (const [path, url] of [
    ["/events", running.url],
    ["/tail", running.admin],
  ] as const) {
    const foreign = await readAt(at("evil.test", url), path);
    assert.deepEqual([foreign.status, foreign.heard], [421, "ended"], path);
    assert.doesNotMatch(foreign.text, /of this machine/);
    const own = await readAt(at("localhost", url), path);
    assert.equal(own.status, 200, path);
    assert.match(own.heard, /of this machine/, `${path} is read under its own name`);
  }
  // The name does reach the daemon: where a stream's owner has opened it to all, the same page reads it.
  assert.match((await readAt(at("evil.test", running.url), "/open")).heard, /of this machine/);
});
