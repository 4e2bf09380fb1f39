/** `leat quickstart`, which is `npm start`: Leat at work with nothing to set up, and what to try with it. */

import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import type { Daemon } from "../daemon.ts";
import { readConfiguration } from "./configuration.ts";
import { startExampleReceiver } from "./example-receiver.ts";
import { fail } from "./exit.ts";
import { runDaemon } from "./lifetime.ts";

/** Beside `src/` and `dist/` alike. */
const CONFIG = fileURLToPath(new URL("../../config/quickstart.yaml", import.meta.url));
/** As the file has it. */
const SECRET = "whsec_quickstart";

export function quickstartCommand(program: Command): void {
  program
    .command("quickstart")
    .summary("run an example, with everything in it, and say what to try")
    .description(
      "Runs Leat with an example configuration: a source that takes webhooks signed as Stripe signs them, and three\n" +
        "sinks: a small receiver of its own (which refuses at first), an SSE stream, the terminal. Data goes to ./data.",
    )
    .addHelpText("after", "\nExample:\n  leat quickstart")
    .action(async () => {
      try {
        const receiver = await startExampleReceiver();
        const env = { ...process.env, LEAT_QUICKSTART_RECEIVER: receiver };
        // An example's data belongs where it is tried, not beside its configuration.
        const args = process.env.LEAT_JOURNAL_PATH === undefined ? ["--journal-path=./data"] : [];
        await runDaemon(
          () => readConfiguration([CONFIG], { args, env }),
          (daemon) => say(daemon, receiver),
        );
      } catch (error) {
        fail(error);
      }
    });
}

function say({ url, adminUrl }: Daemon, receiver: string): void {
  // One of the environment may be a real one: named, it stays out of the terminal and its scrollback.
  const secret = process.env.STRIPE_WEBHOOK_SECRET === undefined ? SECRET : '"$STRIPE_WEBHOOK_SECRET"';
  const main = process.argv[1] ?? "";
  const leat = main.endsWith(".ts") ? `npx node ${relative(process.cwd(), main)}` : "leat";
  const webhooks = `${url}/webhooks/stripe`;
  process.stdout.write(`
Leat is running: webhooks signed by Stripe go to a receiver (${receiver}),
to an SSE stream and to this terminal.

  Open the page       ${adminUrl}/
  Send an event       ${leat} send stripe --to ${webhooks} --secret ${secret}
  Watch the stream    curl -N ${url}/events
  Send a forged one   curl -i -d '{"id":"evt_forged"}' ${webhooks}

The receiver refuses at first, so that you see a retry. Kill Leat with kill -9 and start it again: nothing is lost.
Ctrl-C stops it.

`);
}
