/** One command in this process, as the command line would run it. */
import { Command } from "commander";

export interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** What it writes to stdout and stderr is caught; the exit code is taken off the process again. */
export async function runCommand(
  register: (program: Command) => void,
  args: readonly string[],
): Promise<Ran> {
  const program = new Command("leat").exitOverride();
  register(program);
  const { stdout, stderr, exitCode } = process;
  const write = { out: stdout.write, err: stderr.write };
  const caught = { out: "", err: "" };
  stdout.write = (text: string | Uint8Array) => Boolean((caught.out += String(text)));
  stderr.write = (text: string | Uint8Array) => Boolean((caught.err += String(text)));
  try {
    await program.parseAsync(["node", "leat", ...args]);
    return { ...caught, code: Number(process.exitCode ?? 0) };
  } finally {
    stdout.write = write.out;
    stderr.write = write.err;
    process.exitCode = exitCode ?? 0;
  }
}
