import { fill, open } from "../page.js";

const BARS = 40;
const ROWS = 5;
const euros = (amount) =>
  new Intl.NumberFormat("en", { style: "currency", currency: "EUR", maximumFractionDigits: 0 }).format(
    amount,
  );
const amounts = [];
const countries = new Map();
let revenue = 0;

const $ = (selector) => document.querySelector(selector);

function showFigures() {
  $("#count").textContent = amounts.length;
  $("#revenue").textContent = euros(revenue);
  $("#average").textContent = euros(revenue / amounts.length);
}

function showBars() {
  const last = amounts.slice(-BARS);
  const most = Math.max(...last);
  const width = 400 / BARS;
  $(".chart svg").innerHTML = last
    .map((amount, at) => {
      const height = (95 * amount) / most;
      return `<rect x="${at * width}" y="${100 - height}" width="${width - 2}" height="${height}" rx="1.5"/>`;
    })
    .join("");
}

function showCountries() {
  const sorted = [...countries].sort(([, a], [, b]) => b - a).slice(0, 5);
  $(".countries").replaceChildren(
    ...sorted.map(([name, sum]) => {
      const row = fill("country", { name, sum: euros(sum) });
      row.querySelector("progress").value = sum / sorted[0][1];
      return row;
    }),
  );
}

function showOrder({ order, item, country, amount, at }) {
  const row = document.createElement("tr");
  for (const text of [new Date(at).toLocaleTimeString(), item, country, order, euros(amount)]) {
    row.insertCell().textContent = text;
  }
  $("#orders").prepend(row);
  while ($("#orders").children.length > ROWS) $("#orders").lastChild.remove();
}

for await (const { data } of open("/events")) {
  amounts.push(data.amount);
  revenue += data.amount;
  countries.set(data.country, (countries.get(data.country) ?? 0) + data.amount);
  showFigures();
  showBars();
  showCountries();
  showOrder(data);
}
