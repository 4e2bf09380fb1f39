import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import Stripe from "stripe";
import { launchChromium } from "../chromium.ts";
import { waitFor } from "../wait-for.ts";
import { freePort, MAIN } from "./daemon.ts";

/** The README's main job, as a newcomer does it; ports and folder are the test's own, everything else is the quickstart's. */
test("the quickstart: a Stripe-signed webhook reaches all three sinks, an unsigned one is refused, the tab misses nothing over a kill -9", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-quickstart-"));
  const [listen, admin] = [await freePort(), await freePort()];
  const secret = "whsec_quickstart";
  let printed = "";
  let child: ChildProcess | null = null;
  const start = async () => {
    const started = spawn(process.execPath, [MAIN, "quickstart"], {
      cwd: folder,
      env: {
        ...process.env,
        LEAT_LISTEN: `127.0.0.1:${listen}`,
        LEAT_ADMIN: `127.0.0.1:${admin}`,
        LEAT_JOURNAL_PATH: join(folder, "data"),
        STRIPE_WEBHOOK_SECRET: secret,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = started;
    started.stdout.on("data", (chunk) => (printed += chunk));
    started.stderr.on("data", (chunk) => (printed += chunk));
    await waitFor(
      "the quickstart to be ready",
      async () => {
        if (started.exitCode !== null) throw new Error(`it ended with ${started.exitCode}:\n${printed}`);
        return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
      },
      20_000,
    );
  };
  const kill = async () => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  t.after(async () => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const send = async (id: string) => {
    const payload = JSON.stringify({
      id,
      object: "event",
      type: "payment_intent.succeeded",
      data: { object: { amount: 4200 } },
    });
    return fetch(`http://127.0.0.1:${listen}/webhooks/stripe`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "stripe-signature": Stripe.webhooks.generateTestHeaderString({ payload, secret }),
      },
      body: payload,
    });
  };

  await start();
  assert.match(printed, new RegExp(`http://127\\.0\\.0\\.1:${admin}`), "it prints the page's address");
  assert.match(printed, /curl /, "it prints a curl line to try");
  assert.match(printed, /send stripe/, "and a line that signs");

  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`http://127.0.0.1:${admin}/`);

  /** A tab of the user's own, on the stream itself, with nothing but the browser's EventSource. */
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${listen}/nothing-here`);
  await tab.evaluate(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { seen });
    new EventSource("/events").addEventListener("message", (event) => {
      seen.push((JSON.parse(event.data) as { id: string }).id);
    });
  });
  const seenByTab = () => tab.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);

  await waitFor("the streams to be open", async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
    return /leat_readers\{[^}]*\} [1-9]/.test(metrics);
  });
  const answer = await send("evt_1");
  assert.equal(answer.status, 200);
  const { seq } = (await answer.json()) as { seq: number; id: string };
  assert.ok(Number.isSafeInteger(seq));

  const unsigned = await fetch(`http://127.0.0.1:${listen}/webhooks/stripe`, {
    method: "POST",
    body: '{"id":"evt_x"}',
  });
  assert.equal(unsigned.status, 401);

  await waitFor("the event on the page", async () => (await page.textContent("body"))?.includes("evt_1"));
  await waitFor("the event in the tab", async () => (await seenByTab()).includes("evt_1"));
  await waitFor("the event on the terminal", () => printed.includes("evt_1"));
  const delivered = async (id: string) => {
    const { events } = (await (await fetch(`http://127.0.0.1:${admin}/api/events?id=${id}`)).json()) as {
      events: { seq: number }[];
    };
    const found = await (await fetch(`http://127.0.0.1:${admin}/api/events/${events[0]?.seq}`)).json();
    return found as {
      deliveries: { subscription: string; attempts: { outcome: string; status: number | null }[] }[];
    };
  };
  const attempts = await waitFor(
    "the delivery to the receiver, after the retry that the quickstart shows",
    async () => {
      const { deliveries } = await delivered("evt_1");
      const ended = deliveries.find(
        ({ attempts }) => attempts.at(-1)?.outcome === "delivered" && attempts.length > 1,
      );
      return ended?.attempts;
    },
    30_000,
  );
  assert.equal(attempts[0]?.outcome, "retry");

  await kill();
  await start();
  for (let n = 2; n <= 6; n++) assert.equal((await send(`evt_${n}`)).status, 200);
  await waitFor("the tab to have all", async () => (await seenByTab()).length >= 6, 30_000);
  assert.deepEqual(await seenByTab(), ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5", "evt_6"]);
  await waitFor(
    "the page to have all",
    async () => (await page.textContent("body"))?.includes("evt_6"),
    30_000,
  );
  assert.deepEqual(complaints, []);
  if (process.env.LEAT_SCREENSHOT !== undefined) await page.screenshot({ path: process.env.LEAT_SCREENSHOT });
});
