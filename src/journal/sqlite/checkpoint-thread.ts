/**
 * Moves the WAL into the database while the writer goes on committing: a connection of its own, in a thread of its own,
 * because moving 64 MiB takes tens of milliseconds that every waiting sender would see. What is appended meanwhile stays
 * behind; the writer moves that last, small piece itself (`WriterHost.checkpoint`), after which the WAL begins anew.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openStorage, PAGE_BYTES } from "./storage.ts";

export interface CheckpointThreadData {
  readonly file: string;
}

/** Looks so often, in ms, and moves so many pages at least: 32 MiB. */
const LOOK_MS = 200;
const FRAMES = (32 * 1024 * 1024) / PAGE_BYTES;

const port = parentPort;
if (port === null) throw new Error("checkpoint-thread.ts runs as a worker thread");
const { file }: CheckpointThreadData = workerData;
const storage = openStorage({ file });

const timer = setInterval(() => {
  try {
    const { frames, moved } = storage.checkpoint("NOOP");
    if (frames - moved >= FRAMES) storage.checkpoint("PASSIVE");
  } catch {
    // A full disk, or one that fails: everything is still in the WAL, and the writer's next commit will tell.
  }
}, LOOK_MS);

port.once("message", () => {
  clearInterval(timer);
  storage.close();
  port.close();
});
