/**
 * Tells when what a worker was given to do hangs: by the processor time that it uses, since the clock also runs while
 * the machine is busy with others, and while the whole process stands still (a paused container, say).
 */
import type { Worker } from "node:worker_threads";

/** It is looked at so often, in ms, and hangs once it has used as much. */
const LOOK_MS = 500;
/** Past these it hangs, whatever it says: ten seconds. */
const MAX_LOOKS = 20;
/** Inside a step of native code a thread can't say what it uses. Once may be the process that stood still, not it. */
const MAX_SILENT = 2;

/** Calls `hung` once, unless the returned function was called before. */
export function watchForHang(worker: Worker, hung: () => void): () => void {
  let [ended, looks, silent] = [false, 0, 0];
  let timer: NodeJS.Timeout | undefined;
  const begun = worker.cpuUsage();
  begun.catch(() => {});

  /** Milliseconds; null when it doesn't say within the time. */
  const used = async (): Promise<number | null> => {
    const silence = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, LOOK_MS, null);
    });
    const usage = await Promise.race([begun.then((before) => worker.cpuUsage(before)), silence]);
    clearTimeout(timer);
    return usage === null ? null : (usage.user + usage.system) / 1000;
  };

  const judge = async () => {
    // A thread that has ended says nothing; whoever started it learns of that by its exit.
    const ms = await used().catch(() => 0);
    if (ended) return;
    looks++;
    silent = ms === null ? silent + 1 : 0;
    if (silent === MAX_SILENT || looks === MAX_LOOKS || (ms !== null && ms >= LOOK_MS)) hung();
    else if (ms === null) void judge();
    else look();
  };

  const look = () => {
    timer = setTimeout(() => void judge(), LOOK_MS);
  };
  look();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
