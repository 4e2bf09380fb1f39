/** What the pages share: where Leat is, who the visitor is, and how the connection stands. */
import { connect } from "./leat-client.js";

const query = new URLSearchParams(location.search);

/** Who is at the page: `?user=…`, else Ada. */
export const user = query.get("user") ?? "ada";

/** Logs the visitor in at the application (serve.js), which sets the cookie that Leat knows the user by. */
export async function logIn() {
  const response = await fetch(`../login?user=${encodeURIComponent(user)}`, { method: "POST" });
  if (!response.ok) throw new Error(`the login answered ${response.status}`);
}

/** Connects to Leat, which is at `?leat=…`, else at its usual address, and shows in `#state` how that stands. */
export function open(path, options) {
  const connection = connect(new URL(path, query.get("leat") ?? "http://127.0.0.1:8080"), options);
  const state = document.querySelector("#state");
  const show = ({ status, reason, error }) => {
    state.dataset.state = status;
    state.textContent =
      status === "live"
        ? "Live"
        : status === "closed"
          ? `Closed: ${error?.message ?? "by this page"}`
          : status === "waiting"
            ? `Back in a moment (${reason})`
            : "Connecting";
  };
  connection.on("status", show);
  show({ status: connection.status });
  return connection;
}

/** A copy of the page's `<template id=…>`, with texts by class. */
export function fill(id, texts = {}) {
  const element = document.querySelector(`#${id}`).content.firstElementChild.cloneNode(true);
  for (const [name, text] of Object.entries(texts)) element.querySelector(`.${name}`).textContent = text;
  return element;
}
