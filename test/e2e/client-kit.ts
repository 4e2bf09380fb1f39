/** What the client's end-to-end tests share: a daemon with streams, and what feeds them. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Daemon, makeDaemon } from "./daemon.ts";

/** A source `in` at /in (`?channel=`-less: the body's `to` names the channel), and these sinks. */
export async function streaming(
  t: TestContext,
  sinks: string,
  env: Record<string, string> = {},
): Promise<Daemon> {
  const daemon = await makeDaemon(sinks, env);
  t.after(daemon.close);
  await daemon.start();
  return daemon;
}

/** Posts an event, and again until the daemon has it; resolves with its seq. */
export async function post(daemon: Daemon, body: object): Promise<number> {
  for (;;) {
    const response = await fetch(`${daemon.url}/in`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }).catch(() => null);
    if (response?.ok) return ((await response.json()) as { seq: number }).seq;
    if (response !== null) assert.ok(response.status >= 500, `${response.status} ${await response.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
