/** How the daemon is, in the one line that `systemctl status` shows. */
import type { Readiness } from "./face.ts";

export function statusLine({ ready, phase, reasons, degraded }: Readiness): string {
  if (phase === "draining" || phase === "stopped")
    return "Stopping: what is under way is finished or handed back";
  if (!ready) return `Takes nothing in: ${reasons.join("; ")}`;
  if (degraded.length === 0) return "Running";
  return `Running, degraded: ${degraded.map(({ part, reason }) => `${part}: ${reason}`).join("; ")}`;
}
