/**
 * A stand-in for the service manager's end of its protocol: a real unix datagram socket, that a perl (every Debian has
 * one) listens on, since Node can't. It prints each message it got as one line.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { waitFor } from "../wait-for.ts";

/** A message's lines become one, with this between them. File descriptors that come along are dropped, hence closed. */
const SEPARATOR = "\x1f";
const LISTEN = `
use Socket; $| = 1;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($s, sockaddr_un($ARGV[0])) or die $!;
print "listening\\n";
while (defined recv($s, my $m, 65536, 0)) { $m =~ s/\\n/\\x1f/g; print "$m\\n"; }
`;

export interface ListeningManager {
  /** For the environment of what it starts. */
  readonly socket: string;
  /** What it was told, in order: one map a message. */
  readonly told: Readonly<Record<string, string>>[];
  /** The value that was told last under this name. */
  last(name: string): string | undefined;
  close(): Promise<void>;
}

export async function startListeningManager(): Promise<ListeningManager> {
  const folder = mkdtempSync(join(tmpdir(), "leat-notify-"));
  const socket = join(folder, "socket");
  const told: Record<string, string>[] = [];
  const child: ChildProcess = spawn("perl", ["-e", LISTEN, socket], { stdio: ["ignore", "pipe", "inherit"] });
  let listening = false;
  createInterface({ input: child.stdout! }).on("line", (line) => {
    if (!listening) listening = true;
    // Sent behind each message, to know when it was read.
    else if (line !== "BARRIER=1") told.push(parsed(line));
  });
  await waitFor("the socket", () => listening);
  return {
    socket,
    told,
    last: (name) => told.findLast((message) => name in message)?.[name],
    async close() {
      if (child.exitCode === null) {
        child.kill();
        await once(child, "exit");
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function parsed(line: string): Record<string, string> {
  return Object.fromEntries(
    line
      .split(SEPARATOR)
      .filter((assignment) => assignment !== "")
      .map((assignment) => {
        const at = assignment.indexOf("=");
        return [assignment.slice(0, at), assignment.slice(at + 1)];
      }),
  );
}
