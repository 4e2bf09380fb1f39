/**
 * The page: events as they arrive over `/tail` (SSE), newest first. What an event holds is only ever set as text.
 * Nothing here is built; the browser runs it as it stands.
 */

/** Rows kept in the page; older ones go. */
const MAX_ROWS = 500;
/** How often an open event's deliveries are asked for again while they are under way. */
const REFRESH_MS = 2000;
/** How long until a closed connection is tried anew. */
const RETRY_MS = 3000;
const UNDER_WAY = new Set(["pending", "retrying", "parked"]);

const $ = (id) => document.getElementById(id);
const [rows, empty, none, count, state, filter, pause, clear] = [
  "events",
  "empty",
  "none",
  "count",
  "state",
  "filter",
  "pause",
  "clear",
].map($);

/** Makes an element. Strings become text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------------------------------------------------- showing

/** Arrived and not yet shown: while paused, or until the next frame is drawn. */
let waiting = [];
let drawing = false;
let paused = false;
let total = 0;

function arrived(item) {
  waiting.push(item);
  // More than fit would push each other out at once.
  if (waiting.length > MAX_ROWS * 2) waiting = waiting.slice(-MAX_ROWS);
  if (item.event) total++;
  if (paused) showCount();
  else draw();
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const items = waiting.slice(-MAX_ROWS);
    waiting = [];
    const fragment = document.createDocumentFragment();
    for (const item of items.reverse()) fragment.append(item.event ? eventRow(item.event) : gapRow(item.gap));
    keepView(() => rows.prepend(fragment));
    trim();
    showCount();
  });
}

/** New rows on top must not move what a person reads further down. */
function keepView(change) {
  const before = document.documentElement.scrollHeight;
  const reading = window.scrollY > 80;
  change();
  if (reading) window.scrollBy(0, document.documentElement.scrollHeight - before);
}

function trim() {
  while (rows.querySelectorAll(":scope > tr:not(.detail)").length > MAX_ROWS) {
    const last = rows.lastElementChild;
    if (last.classList.contains("detail")) last.previousElementSibling.remove();
    last.remove();
  }
}

function showCount() {
  const events = rows.querySelectorAll(".event");
  const shown = [...events].filter((row) => !row.hidden).length;
  empty.hidden = rows.childElementCount > 0 || waiting.length > 0;
  none.hidden = events.length === 0 || shown > 0;
  const held = waiting.filter((item) => item.event).length;
  const parts = [`${total} event${total === 1 ? "" : "s"} received`, `${shown} shown`];
  if (held > 0) parts.push(`${held} new while paused`);
  count.textContent = parts.join(" · ");
  pause.textContent = paused ? (held > 0 ? `Resume (${held})` : "Resume") : "Pause";
}

function eventRow(event) {
  const at = new Date(event.time);
  const toggle = element(
    "button",
    { class: "toggle", type: "button", "aria-expanded": "false" },
    clockTime(at),
  );
  const row = element("tr", { class: "event arrived" });
  row.append(
    element("td", { class: "time", title: at.toISOString() }, toggle),
    cell("seq", String(event.seq)),
    cell("source", event.source),
    cell("type", event.type),
    cell("subject", event.subject ?? ""),
    cell("key", event.key ?? ""),
    cell("body", oneLine(event)),
  );
  row.leat = { event, words: wordsOf(event) };
  row.hidden = !matches(row.leat);
  return row;
}

function cell(name, text) {
  return element("td", { class: name, ...(text && name !== "body" ? { title: text } : {}) }, text);
}

function gapRow({ asked, oldest }) {
  const text = `Gap: what came after ${asked} and up to ${oldest} is not kept any more.`;
  return element("tr", { class: "gap" }, element("td", { colspan: columns() }, text));
}

/** How many columns there is room for; a cell across more would widen the table by empty ones. */
function columns() {
  return [...document.querySelectorAll("th")].filter((th) => th.offsetParent !== null).length;
}

function clockTime(at) {
  const two = (n) => String(n).padStart(2, "0");
  const ms = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

function oneLine({ preview, bytes }) {
  if (preview === null) return `${bytes} bytes, no text`;
  return preview.slice(0, 300).replace(/\s+/g, " ").trim();
}

// ----------------------------------------------------------------------------------------------------------- filtering

function wordsOf(event) {
  const fields = {
    source: event.source,
    type: event.type,
    subject: event.subject ?? "",
    key: event.key ?? "",
    id: event.id,
  };
  for (const name of Object.keys(fields)) fields[name] = fields[name].toLowerCase();
  return {
    ...fields,
    all: `${Object.values(fields).join("\n")}\n${event.seq}\n${(event.preview ?? "").toLowerCase()}`,
  };
}

/** Every word has to be there; `type:paid` looks into the type alone. */
let wanted = [];

function readFilter() {
  wanted = filter.value
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => {
      const [, field, text] = /^(source|type|subject|key|id):(.+)$/.exec(word) ?? [null, "all", word];
      return { field, text };
    });
}

function matches({ words }) {
  return wanted.every(({ field, text }) => words[field].includes(text));
}

filter.addEventListener("input", () => {
  readFilter();
  for (const row of rows.querySelectorAll(".event")) {
    row.hidden = !matches(row.leat);
    if (row.hidden && row.leat.detail) shut(row);
  }
  showCount();
});

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  showCount();
  if (!paused) draw();
});

clear.addEventListener("click", () => {
  for (const row of rows.querySelectorAll(".event.open")) shut(row);
  rows.replaceChildren();
  waiting = [];
  total = 0;
  showCount();
});

// ---------------------------------------------------------------------------------------------------------- one opened

rows.addEventListener("click", (click) => {
  const row = click.target.closest("tr.event");
  if (!row || String(getSelection())) return;
  if (row.leat.detail) shut(row);
  else open(row);
});

function open(row) {
  const sheet = element("div", { class: "sheet" });
  row.leat.detail = element("tr", { class: "detail" }, element("td", { colspan: columns() }, sheet));
  row.classList.add("open");
  row.querySelector(".toggle").setAttribute("aria-expanded", "true");
  row.after(row.leat.detail);
  fill(sheet, row.leat.event, null, "Loading…");
  void refresh(row, sheet);
}

function shut(row) {
  row.leat.detail.remove();
  row.leat.detail = null;
  row.classList.remove("open");
  row.querySelector(".toggle").setAttribute("aria-expanded", "false");
}

/** Asks for the whole event and its deliveries, again and again while one is under way. */
async function refresh(row, sheet) {
  let known = null;
  while (sheet.isConnected) {
    let note = "";
    try {
      const response = await fetch(`/api/events/${row.leat.event.seq}`, {
        headers: { accept: "application/json" },
      });
      if (response.status === 401) location.assign("/login");
      if (response.ok) known = await response.json();
      else
        note = response.status === 404 ? "The event isn't kept any more." : "Its history can't be read now.";
    } catch {
      note = "Its history can't be read now.";
    }
    if (!sheet.isConnected) return;
    fill(sheet, row.leat.event, known, note);
    const deliveries = known?.deliveries ?? [];
    if (note === "" && !deliveries.some(({ state }) => UNDER_WAY.has(state))) return;
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  }
}

function fill(sheet, event, known, note) {
  const drawn = JSON.stringify([known, note]);
  // A person may be selecting text in it.
  if (sheet.drawn === drawn) return;
  sheet.drawn = drawn;
  const whole = known?.event ?? null;
  const left = element("div", {}, bodySection(event, whole), factSection(event, whole));
  const right = element("div", {}, deliverySection(known, note));
  if (whole) right.append(headerSection(whole));
  sheet.replaceChildren(left, right);
}

function section(title, ...children) {
  return element("section", {}, element("h2", {}, title), ...children);
}

function bodySection(event, whole) {
  const pre = element("pre", { tabindex: "0" }, bodyText(event, whole));
  const cut =
    !whole && event.preview !== null && new TextEncoder().encode(event.preview).length < event.bytes;
  const note = element(
    "p",
    { class: "note" },
    cut ? `The beginning of ${event.bytes} bytes.` : `${event.bytes} bytes`,
  );
  return section("Body", pre, note);
}

function bodyText(event, whole) {
  if (whole?.data_base64 !== undefined) return whole.data_base64;
  if (whole?.data !== undefined) {
    return typeof whole.data === "string" ? whole.data : JSON.stringify(whole.data, null, 2);
  }
  try {
    return JSON.stringify(JSON.parse(event.preview), null, 2);
  } catch {
    return event.preview ?? "(no text)";
  }
}

function factSection(event, whole) {
  const facts = {
    id: event.id,
    seq: event.seq,
    time: new Date(event.time).toISOString(),
    source: event.source,
  };
  Object.assign(facts, { type: event.type, subject: event.subject, key: event.key, cause: whole?.cause });
  return section("Event", list(Object.entries(facts)));
}

function headerSection({ headers }) {
  if (!headers?.length) return section("Headers", element("p", { class: "note" }, "None"));
  return section("Headers", list(headers));
}

function list(entries) {
  const dl = element("dl");
  for (const [name, value] of entries) {
    if (value === null || value === undefined) continue;
    dl.append(element("dt", {}, name), element("dd", {}, String(value)));
  }
  return dl;
}

function deliverySection(known, note) {
  const items = (known?.deliveries ?? []).map(deliveryItem);
  const text = note || (items.length === 0 ? "No route sends it anywhere." : "");
  return section(
    "Deliveries",
    ...(items.length > 0 ? [element("ul", { class: "deliveries" }, ...items)] : []),
    ...(text ? [element("p", { class: "note" }, text)] : []),
  );
}

function deliveryItem({ subscription, replay, state: reached, due, attempts }) {
  const name = replay > 0 ? `${subscription} (replay ${replay})` : subscription;
  const outcome = reached === "settled" ? (attempts.at(-1)?.outcome ?? "settled") : reached;
  const text = due && reached === "retrying" ? `${reached}, due ${clockTime(new Date(due))}` : outcome;
  return element(
    "li",
    {},
    element(
      "div",
      { class: "delivery" },
      element("span", {}, name),
      element("span", { class: `outcome ${classOf(outcome)}` }, text),
    ),
    element("ol", { class: "attempts" }, ...attempts.map(attemptItem)),
  );
}

/** Only words become class names. */
function classOf(outcome) {
  return /^[a-z]+$/.test(outcome) ? outcome : "";
}

function attemptItem({ at, ms, outcome, status, error, message }) {
  const parts = [
    clockTime(new Date(at)),
    outcome,
    status && `HTTP ${status}`,
    `${Math.round(ms)} ms`,
    error,
    message,
  ];
  return element(
    "li",
    { class: "attempt" },
    ...parts.filter(Boolean).map((part) => element("span", {}, String(part))),
  );
}

// --------------------------------------------------------------------------------------------------------- connection

/** The last position, for a connection that the browser has given up on; its own carry it by themselves. */
let position = "";

function show(name, text) {
  state.dataset.state = name;
  state.lastElementChild.textContent = text;
}

function connect() {
  const source = new EventSource(position ? `/tail?last_event_id=${encodeURIComponent(position)}` : "/tail");
  source.addEventListener("open", () => show("live", "Live"));
  source.addEventListener("message", (message) => {
    position = message.lastEventId;
    arrived({ event: JSON.parse(message.data) });
  });
  source.addEventListener("gap", (message) => {
    position = message.lastEventId;
    arrived({ gap: JSON.parse(message.data) });
  });
  source.addEventListener("bye", () => show("waiting", "Leat is restarting"));
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) show("waiting", "Reconnecting");
    else void closed();
  });
}

/** The browser gave up: the token ran out, or something answered in Leat's place. */
async function closed() {
  show("closed", "Disconnected");
  try {
    const response = await fetch("/tail", { method: "HEAD", headers: { accept: "text/event-stream" } });
    if (response.status === 401) {
      location.assign("/login");
      return;
    }
  } catch {
    // Nobody answers yet.
  }
  setTimeout(connect, RETRY_MS);
}

connect();
