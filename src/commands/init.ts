/** `leat init`: a commented configuration to start from, with a secret of its own. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { type Command, createArgument } from "commander";
import { starter } from "../config/starter.ts";
import { LeatError } from "../errors.ts";
import { fail } from "./exit.ts";

export function initCommand(program: Command): void {
  program
    .command("init")
    .description("write a commented configuration to start from")
    .addArgument(createArgument("[path]", "where to write it").default("leat.yaml"))
    .action((path: string) => {
      try {
        const secret = `whsec_${randomBytes(32).toString("base64")}`;
        write(path, starter(secret));
        process.stdout.write(nextSteps(path));
      } catch (error) {
        fail(error);
      }
    });
}

/** The file holds a secret: only its owner may read it. What is there already is never overwritten. */
function write(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    throw new LeatError(
      "configuration",
      exists ? "exists" : "not_writable",
      exists ? `${path} is there already` : `${path} can't be written`,
      { hint: exists ? "Choose another path: leat init other.yaml" : "Check the folder.", cause: error },
    );
  }
}

function nextSteps(path: string): string {
  return [
    `wrote ${path}`,
    `  leat validate ${path}         checks it`,
    `  leat run --config ${path}     runs it`,
    "  leat send standard --to http://127.0.0.1:8080/webhooks/hooks --secret …   posts a signed sample; the secret is in the file",
    "",
  ].join("\n");
}
