/** Sends a stream of lines as it comes, for a webhook source with `stream: lines`. */
import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { openBody } from "./input.ts";

export interface LinesToSend {
  /** A file, or `-` for standard input. */
  readonly from: string;
  /** The bearer token, or the password of `user`. */
  readonly secret: string;
  readonly user: string | undefined;
  /** The request's id, by which a repeat resumes. */
  readonly id: string | undefined;
  /** The number of its first line, where others were accepted before. */
  readonly line: string | undefined;
}

export interface LineRequest {
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/** Begins to read; whoever gets the answer destroys `body`, which may have no end of its own. @throws LeatError `not_readable` */
export function lineRequest({ from, secret, user, id, line }: LinesToSend): LineRequest {
  const named = id ?? randomUUID();
  const proof =
    user === undefined ? `Bearer ${secret}` : `Basic ${Buffer.from(`${user}:${secret}`).toString("base64")}`;
  return {
    id: named,
    headers: {
      authorization: proof,
      "leat-request-id": named,
      ...(line === undefined ? {} : { "leat-line": line }),
    },
    body: openBody(from),
  };
}
