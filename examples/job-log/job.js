import { open } from "../page.js";

const job = new URLSearchParams(location.search).get("job") ?? "build-42";
const bar = document.querySelector("progress");
const log = document.querySelector("#log");
const outcome = document.querySelector("#outcome");
document.querySelector("#name").textContent = job;

const LEVELS = [
  ["error", /\berror\b|\bfailed\b/i],
  ["warn", /\bwarn(ing)?\b/i],
  ["ok", /^(ok|✔)/],
];

function say(text, value) {
  outcome.textContent = text;
  outcome.dataset.outcome = value;
}

function show(text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const line = document.createElement("p");
  line.textContent = text;
  line.className = LEVELS.find(([, pattern]) => pattern.test(text))?.[0] ?? "";
  log.append(line);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// A line may be text, or JSON that says how far the job is: {"done":3,"of":10,"text":"…"}
const lines = open("/events", { channels: [`job.${job}`], envelope: true });
for await (const { type, data } of lines) {
  if (type === "stream.end") {
    bar.value = 1;
    say(`Done, ${data.last} lines`, "done");
  } else if (type === "stream.failed" || type === "stream.aborted") {
    say(`${type === "stream.failed" ? "Failed" : "Cut off"}: ${data.reason}`, "failed");
  } else {
    const { done, of, text } = Object(data) === data ? data : { text: String(data) };
    if (of > 0) {
      bar.value = done / of;
      say(`${Math.round((100 * done) / of)} %`, "running");
    } else if (outcome.dataset.outcome !== "running") say("Running", "running");
    if (text) show(text);
  }
}
