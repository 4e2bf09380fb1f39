/** What the tests of the example pages share: the pages' server, a browser, and the daemon with an example's own YAML. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "../chromium.ts";
import { type Daemon, makeDaemon } from "./daemon.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const JWT_SECRET = "a secret of the tests, of more than 32 bytes";

export const PRODUCER_TOKEN = "a-token-of-the-tests";

export interface Example {
  readonly daemon: Daemon;
  readonly browser: Browser;
  /** What the pages complained of. */
  readonly complaints: string[];
  /** Opens the example's page in a window of its own, `query` as in `user=ada`. */
  open(query?: string, context?: BrowserContext): Promise<Page>;
  /** A window of its own, as another person has it. */
  person(): Promise<BrowserContext>;
}

/** Starts `examples/<name>/leat.yaml` and the pages' server, which also plays the application. */
export async function startExample(
  t: TestContext,
  name: string,
  env: Record<string, string> = {},
): Promise<Example> {
  const { servePages } = (await import(join(ROOT, "examples/serve.js"))) as {
    servePages(port: number, options: { secret: string; producer: string; leat: string }): Promise<Server>;
  };
  const application = { secret: JWT_SECRET, producer: PRODUCER_TOKEN, leat: "" };
  const pages = await servePages(0, application);
  const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  const yaml = readFileSync(join(ROOT, "examples", name, "leat.yaml"), "utf8");
  const daemon = await makeDaemon(yaml, { JWT_SECRET, PRODUCER_TOKEN, PAGE_ORIGIN: origin, ...env });
  application.leat = daemon.url;
  const browser = await launchChromium();
  t.after(async () => {
    await browser.close();
    await daemon.close();
    pages.closeAllConnections();
    pages.close();
    await once(pages, "close");
  });
  await daemon.start();
  const complaints: string[] = [];
  const person = () => browser.newContext({ viewport: { width: 900, height: 520 }, deviceScaleFactor: 1 });
  return {
    daemon,
    browser,
    complaints,
    person,
    async open(query = "", context) {
      const page = await (context ?? (await person())).newPage();
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.goto(`${origin}/${name}/?leat=${daemon.url}&${query}`);
      await page.waitForSelector("#state[data-state=live]");
      return page;
    },
  };
}

/** A picture for docs/images/, where LEAT_SCREENSHOTS names that folder. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.LEAT_SCREENSHOTS;
  if (folder === undefined) return;
  // Once what moves has come to rest.
  await page.evaluate(
    "Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))",
  );
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
