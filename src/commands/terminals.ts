/**
 * Node writes to a terminal synchronously: one that nobody reads (Ctrl-S, a lost connection, a container's terminal
 * without a viewer) would hold the whole process up at the next line. A daemon's output waits in memory instead, as with
 * a pipe; its writers bound what waits.
 */
import { WriteStream } from "node:tty";

export function unblockTerminals(): void {
  for (const stream of [process.stdout, process.stderr]) {
    // No public name exists for it. Where it were gone, terminals would block again, and a test would fail.
    const { _handle: handle } = stream as { _handle?: { setBlocking?(blocking: boolean): number } };
    if (stream instanceof WriteStream) handle?.setBlocking?.(false);
  }
}
