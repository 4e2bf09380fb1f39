/** The probes: whether the process is alive, and whether it should be sent anything. */
import type { ServerResponse } from "node:http";
import type { DaemonFace } from "../daemon/face.ts";
import { answerJson } from "./answer.ts";

/** Longer than any commit that succeeds takes; a probe that waits less counts as failed anyway. */
const PING_MS = 2_000;

/**
 * /healthz: the event loop answers, and so does the journal's writer. Never a sink or a broker: restarting Leat mends
 * none of them.
 */
export async function answerHealth(daemon: DaemonFace, response: ServerResponse): Promise<void> {
  try {
    await daemon.journal.ping(PING_MS);
    answerJson(response, 200, { healthy: true });
  } catch {
    answerJson(response, 503, { healthy: false, reason: "the journal's writer doesn't answer" });
  }
}

/** /readyz: 503 only while starting, draining, or while sources have to wait; a 200 lists what is degraded. */
export function answerReadiness(daemon: DaemonFace, response: ServerResponse): void {
  const readiness = daemon.readiness();
  answerJson(response, readiness.ready ? 200 : 503, readiness);
}
