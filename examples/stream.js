/**
 * Reads one of Leat's streams. The browser comes back by itself after a cut and tells where it was (`Last-Event-ID`), so
 * nothing is missed and nothing comes twice; all there is to do is to show how it stands.
 */
export function readStream(path, show) {
  const leat = new URLSearchParams(location.search).get("leat") ?? "http://127.0.0.1:8080";
  const state = document.querySelector("#state");
  const say = (text, value) => {
    state.textContent = text;
    state.dataset.state = value;
  };
  const events = new EventSource(new URL(path, leat));
  events.addEventListener("open", () => say("Live", "live"));
  events.addEventListener("error", () => {
    // Closed for good: refused, so there is no use in trying again.
    if (events.readyState === EventSource.CLOSED) say("Refused: see origins in leat.yaml", "refused");
    else say("Reconnecting", "waiting");
  });
  events.addEventListener("message", ({ data }) => show(JSON.parse(data)));
}
