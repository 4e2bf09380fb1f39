import { fill, logIn, open, user } from "../page.js";

document.querySelector("#user").textContent = user;
await logIn();

function showPaid() {
  const card = document.querySelector(".order");
  card.classList.add("paid");
  card.querySelector(".badge").textContent = "Paid";
}

// A page of your own would know this from its server.
if (sessionStorage.getItem("paid")) showPaid();

// The cookie says who this is, and so which channel is read. The place is kept, so that a page that is loaded anew shows
// no toast twice.
const events = open("/events", { credentials: true, storage: sessionStorage });

for await (const { data } of events) {
  const { payment, amount, currency, order } = data;
  const money = new Intl.NumberFormat("en", { style: "currency", currency }).format(amount / 100);
  document
    .querySelector("#toasts")
    .append(fill("toast", { amount: `${money} received. Thank you!`, payment }));
  if (order !== "1042") continue;
  sessionStorage.setItem("paid", "yes");
  showPaid();
}
