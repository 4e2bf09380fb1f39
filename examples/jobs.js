import { readStream } from "./stream.js";

const rows = document.querySelector("#jobs");
const jobs = new Map();

function rowOf(job) {
  const known = jobs.get(job);
  if (known) return known;
  rows.querySelector(".empty")?.remove();
  const row = document.querySelector("#row").content.firstElementChild.cloneNode(true);
  row.querySelector("h2").textContent = job;
  rows.prepend(row);
  jobs.set(job, row);
  return row;
}

readStream("/jobs?channel=job.*", ({ job, done, of }) => {
  const row = rowOf(job);
  row.querySelector("progress").value = done / of;
  row.querySelector("output").textContent = done >= of ? "done" : `${done} of ${of}`;
  row.classList.toggle("done", done >= of);
});
