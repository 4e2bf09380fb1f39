/**
 * Preloaded into a daemon (`NODE_OPTIONS=--import`): a thread stands still as long as there is a file of its name in
 * `HANG_FOLDER`: `main`, `journal writer`. So a hang can be had without one thread's consent.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, threadName } from "node:worker_threads";

const file = join(process.env.HANG_FOLDER ?? "", isMainThread ? "main" : (threadName ?? ""));
const cell = new Int32Array(new SharedArrayBuffer(4));

setInterval(() => {
  while (existsSync(file)) Atomics.wait(cell, 0, 0, 20);
}, 10).unref();
