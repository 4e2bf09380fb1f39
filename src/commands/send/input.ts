/** What is sent comes from a file, or from standard input (`-`). */
import { createReadStream, openSync, readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { LeatError } from "../../errors.ts";

/** @throws LeatError `not_readable` */
export function readBody(file: string): Uint8Array {
  try {
    return readFileSync(file === "-" ? process.stdin.fd : file);
  } catch (error) {
    throw notReadable(file, error);
  }
}

/** As it comes. @throws LeatError `not_readable` */
export function openBody(file: string): Readable {
  if (file === "-") return process.stdin;
  try {
    return createReadStream(file, { fd: openSync(file, "r") });
  } catch (error) {
    throw notReadable(file, error);
  }
}

function notReadable(file: string, cause: unknown): LeatError {
  return new LeatError("refused", "not_readable", `${file === "-" ? "stdin" : file} can't be read.`, {
    hint: "--body takes a file, or - for stdin.",
    cause,
  });
}
