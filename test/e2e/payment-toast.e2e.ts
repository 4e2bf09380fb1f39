/** examples/payment-toast: from Stripe's webhook to the payer's own tab, by one YAML file. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeReceiver, type Receiver } from "./daemon.ts";
import { picture, startExample } from "./pages-kit.ts";

const SECRET = `whsec_${Buffer.alloc(24, "k").toString("base64")}`;

async function started(t: TestContext) {
  const billing = await makeReceiver();
  const example = await startExample(t, "payment-toast", {
    STRIPE_WEBHOOK_SECRET: SECRET,
    BILLING_SECRET: SECRET,
    BILLING_URL: `${billing.url}/hooks`,
  });
  t.after(billing.close);
  return { billing, ...example };
}

/** As Stripe sends it; `user` null: the metadata names none. */
async function pay(daemon: Daemon, id: string, user: string | null, secret = SECRET): Promise<number> {
  const metadata = user === null ? { order: "1042" } : { user_id: user, order: "1042" };
  const object = { id: `pi_${id}`, amount: 4200, currency: "eur", metadata };
  const payload = JSON.stringify({ id: `evt_${id}`, type: "payment_intent.succeeded", data: { object } });
  const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret });
  const headers = { "content-type": "application/json", "stripe-signature": signature };
  return (await fetch(`${daemon.url}/webhooks/stripe`, { method: "POST", headers, body: payload })).status;
}

const toasts = (page: Page) => page.locator("#toasts .payment").allTextContents();

/** Holds billing's answers back until it is called. */
function holdBack(billing: Receiver): () => void {
  const { promise, resolve } = Promise.withResolvers<number>();
  billing.answer = () => promise;
  return () => resolve(200);
}

test("the toast is in the payer's tab and in no other, once billing has said yes and not before", async (t) => {
  const { billing, daemon, open, complaints } = await started(t);
  const [ada, bob] = [await open("user=ada"), await open("user=bob")];
  const again = await open("user=ada");
  const sayYes = holdBack(billing);
  assert.equal(await pay(daemon, "forged", "ada", `${SECRET}x`), 401);
  assert.equal(await pay(daemon, "1", "ada"), 200);
  const asked = await waitFor("billing to be asked", () => billing.received[0]);
  new Webhook(SECRET).verify(asked.body, asked.headers as Record<string, string>);
  // Another tab's event is through before it: what is still missing isn't merely late.
  assert.deepEqual([await toasts(ada), await toasts(again), await toasts(bob)], [[], [], []]);
  const yesAt = Date.now();
  sayYes();
  await waitFor("the toast in both tabs of hers", async () => {
    return (await toasts(ada)).length === 1 && (await toasts(again)).length === 1;
  });
  assert.ok(Date.now() >= yesAt);
  assert.deepEqual(await toasts(ada), ["pi_1"]);
  assert.equal(await ada.textContent(".badge"), "Paid");
  await picture(ada, "payment-toast");

  // What comes for Bob shows that nothing of Ada's is on its way to him.
  await pay(daemon, "2", "bob");
  await waitFor("his own", async () => (await toasts(bob)).length > 0);
  assert.deepEqual([await toasts(bob), await toasts(ada)], [["pi_2"], ["pi_1"]]);
  assert.deepEqual(complaints, []);
});

test("a page can't read another's channel, however it asks", async (t) => {
  const { daemon, open } = await started(t);
  const bob = await open("user=bob");
  for (const channel of ["user.ada", "user.*", "**"]) {
    const status = await bob.evaluate(
      async (url) => (await fetch(url, { credentials: "include" })).status,
      `${daemon.url}/events?channel=${encodeURIComponent(channel)}`,
    );
    assert.equal(status, 403, channel);
  }
});

test("a tab that was offline while the payment came and the daemon was killed has its toast when it is back", async (t) => {
  const { billing, daemon, open, person, complaints } = await started(t);
  const context = await person();
  const ada = await open("user=ada", context);
  const sayYes = holdBack(billing);
  await context.setOffline(true);
  assert.equal(await pay(daemon, "1", "ada"), 200);
  await waitFor("billing to be asked", () => billing.received.length === 1);
  daemon.signal("SIGKILL");
  await daemon.ended();
  sayYes();
  billing.answer = () => 200;
  await daemon.start();
  // Billing is asked again, since nobody knows that it said yes, and hears the same id.
  await waitFor("billing to be asked again", () => billing.received.length === 2, 30_000);
  const ids = billing.received.map(({ headers }) => headers["webhook-id"]);
  assert.equal(new Set(ids).size, 1);
  assert.deepEqual(await toasts(ada), []);
  await context.setOffline(false);
  await waitFor("the toast", async () => (await toasts(ada)).length > 0, 40_000);
  assert.deepEqual(await toasts(ada), ["pi_1"]);
  assert.deepEqual(complaints, []);
});

test("a tab that is opened after the payment came has its toast, and loaded anew it has no second one", async (t) => {
  const { daemon, billing, open } = await started(t);
  await pay(daemon, "1", "ada");
  await waitFor("billing to be asked", () => billing.received.length === 1);
  const ada = await open("user=ada");
  await waitFor("the toast", async () => (await toasts(ada)).length === 1);
  await ada.reload();
  await ada.waitForSelector("#state[data-state=live]");
  await pay(daemon, "2", "ada");
  await waitFor("the next toast", async () => (await toasts(ada)).length > 0);
  assert.deepEqual(await toasts(ada), ["pi_2"]);
});

test("a payment whose metadata names no user is a dead letter that says so, and raises no toast", async (t) => {
  const { daemon, open } = await started(t);
  const ada = await open("user=ada");
  await pay(daemon, "nobody", null);
  const [letter] = await waitFor("the dead letter", async () => {
    const { dead } = (await (await fetch(`${daemon.admin}/api/dead`)).json()) as {
      dead: Record<string, unknown>[];
    };
    return dead.length > 0 && dead;
  });
  const told = JSON.stringify(letter);
  assert.match(told, /cause\.body\.data\.object\.metadata\.user_id/);
  assert.match(told, /channel/);
  await pay(daemon, "1", "ada");
  await waitFor("her own", async () => (await toasts(ada)).length > 0);
  assert.deepEqual(await toasts(ada), ["pi_1"]);
});
