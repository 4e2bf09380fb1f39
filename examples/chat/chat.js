import { fill, logIn, open, user } from "../page.js";

const ROOM = "room.mill";
const TYPING = "typing.mill";
/** Someone who typed so long ago has stopped. */
const TYPING_MS = 3000;

await logIn();
const chat = open("/chat", { transport: "websocket" });
const room = chat.subscribe(ROOM);
const typing = chat.subscribe(TYPING);
const form = document.querySelector("form");
const list = document.querySelector("#messages");

/** By the id with which it was published: what comes back is what was sent. */
const shown = new Map();

function face(element, name) {
  const hue = [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 360;
  element.querySelector(".face").style.setProperty("--hue", hue);
  return element;
}

function show(id, { from, text, at }) {
  const known = shown.get(id);
  const time = at ? ` · ${new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
  const element = face(fill("message", { face: from.slice(0, 2), from: from + time, text }), from);
  element.classList.toggle("own", from === user);
  element.classList.toggle("waiting", at === undefined);
  // One's own takes the place that the order of the room gives it.
  known?.remove();
  list.append(element);
  shown.set(id, element);
  element.scrollIntoView();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = form.text.value.trim();
  if (text === "") return;
  form.reset();
  const id = `${user}-${crypto.getRandomValues(new BigUint64Array(2)).join("-")}`;
  show(id, { from: user, text });
  // Comes back acknowledged, however often the connection is lost meanwhile.
  await chat.publish(ROOM, { text }, { id });
});

let said = 0;
form.text.addEventListener("input", () => {
  if (Date.now() - said < TYPING_MS / 2) return;
  said = Date.now();
  chat.send(TYPING, {});
});

let quiet;
typing.on("event", ({ user: who }) => {
  if (who === user) return;
  document.querySelector("#typing").textContent = `${who} is typing…`;
  clearTimeout(quiet);
  quiet = setTimeout(() => {
    document.querySelector("#typing").textContent = "";
  }, TYPING_MS);
});

async function showMembers() {
  const members = await chat.presence(ROOM);
  document
    .querySelector("#members")
    .replaceChildren(
      ...members.map(({ user: name }) => face(fill("member", { face: name.slice(0, 2), name }), name)),
    );
}
for (const news of ["join", "leave"]) room.on(news, showMembers);
room.on("status", ({ status }) => status === "live" && showMembers());

for await (const { id, data } of room) {
  show(id, data);
  if (data.from !== user) document.querySelector("#typing").textContent = "";
}
