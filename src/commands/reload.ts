/** `leat reload`: has the running daemon read its configuration anew. */
import type { Command } from "commander";
import { type AdminOptions, ask, withAdminOptions } from "./admin-client.ts";

interface Reloaded {
  readonly added: string[];
  readonly changed: string[];
  readonly removed: string[];
  readonly notes: string[];
  readonly warnings: string[];
}

export function reloadCommand(program: Command): void {
  withAdminOptions(program.command("reload"))
    .summary("have the daemon read its configuration anew")
    .description(
      "Has the running daemon read its files anew and take over what changed. Connections and open streams stay. A file\n" +
        "with errors changes nothing: they are printed, and the exit code is 2. SIGHUP does the same.",
    )
    .addHelpText("after", "\nExamples:\n  leat reload\n  leat reload --admin 127.0.0.1:8081 --json")
    .action(async (options: AdminOptions) => {
      await ask<Reloaded>(options, "/api/reload", {}, (reloaded) => describe(reloaded).join("\n"));
    });
}

function describe({ added, changed, removed, notes, warnings }: Reloaded): string[] {
  const lines = [
    ...added.map((name) => `added    ${name}`),
    ...changed.map((name) => `changed  ${name}`),
    ...removed.map((name) => `removed  ${name}`),
  ];
  const told = [...warnings, ...notes].map((note) => `note     ${note}`);
  return [...(lines.length === 0 ? ["Reloaded; nothing has changed."] : ["Reloaded.", ...lines]), ...told];
}
