import { open } from "../page.js";

const leat = open("/answers", { transport: "websocket" });
const form = document.querySelector("form");
const box = document.querySelector("#answer");
const figure = (id, text) => {
  document.querySelector(`#${id}`).textContent = text;
};

/** Shows an answer from its first token on, whether it has begun or not. */
async function follow(id, askedAt) {
  box.replaceChildren();
  box.className = "busy";
  let [tokens, firstAt] = [0, 0];
  const answer = leat.subscribe(`answer.${id}`);
  for await (const { type, data } of answer) {
    if (type.startsWith("stream.")) {
      box.className = type === "stream.end" ? "done" : "cut";
      if (type === "stream.end") break;
      continue;
    }
    const piece = document.createElement("span");
    piece.textContent = data.token;
    box.append(piece);
    const now = performance.now();
    firstAt ||= now;
    figure("count", `${++tokens} tokens`);
    if (askedAt) figure("first", `first after ${Math.round(firstAt - askedAt)} ms`);
    if (now > firstAt) figure("rate", `${Math.round((1000 * tokens) / (now - firstAt))} a second`);
  }
  answer.close();
}

function showQuestion(text) {
  const question = document.querySelector(".question");
  question.textContent = text;
  question.hidden = false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = crypto.getRandomValues(new BigUint64Array(2)).join("-");
  const question = form.question.value;
  const asked = performance.now();
  // Kept in the address, so that the page finds its answer when it is loaded anew.
  const address = new URL(location.href);
  address.searchParams.set("answer", id);
  address.searchParams.set("question", question);
  history.replaceState(null, "", address);
  showQuestion(question);
  form.question.disabled = true;
  void fetch(`../ask?id=${id}`, { method: "POST" });
  await follow(id, asked);
  form.question.disabled = false;
});

const known = new URLSearchParams(location.search);
if (known.has("answer")) {
  showQuestion(known.get("question"));
  await follow(known.get("answer"));
}
