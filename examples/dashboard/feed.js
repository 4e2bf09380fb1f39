/** Plays the shop: `node examples/dashboard/feed.js` posts an order now and then. */
const leat = process.env.LEAT_URL ?? "http://127.0.0.1:8080";
const ITEMS = ["Watering can, 9 l", "Mill stone", "Sluice gate", "Reed broom", "Rain gauge", "Oak paddle"];
const COUNTRIES = ["DE", "FR", "NL", "AT", "DK", "IT"];
const any = (list) => list[Math.floor(Math.random() * list.length)];

for (let n = 0; ; n++) {
  const body = JSON.stringify({
    order: `${Date.now()}-${n}`,
    amount: Math.round(10 + Math.random() ** 2 * 240),
    item: any(ITEMS),
    country: any(COUNTRIES),
  });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${leat}/orders`, { method: "POST", headers, body });
  if (!response.ok) throw new Error(`Leat answered ${response.status}: ${await response.text()}`);
  await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 900));
}
