/**
 * `leat send`: signs a sample as Stripe, GitHub, Shopify or a Standard Webhooks sender, and posts it; or streams lines as
 * they come.
 */
import { type Command, createArgument } from "commander";
import { request } from "undici";
import { LeatError } from "../errors.ts";
import { fail } from "./exit.ts";
import { readBody } from "./send/input.ts";
import { lineRequest } from "./send/lines.ts";
import { type Names, newId, type Sample, sample, USUAL_TYPE } from "./send/samples.ts";
import { SENDERS, type Sender, sign } from "./send/sign.ts";

interface SendOptions {
  readonly to: string;
  readonly secret: string;
  readonly body?: string;
  readonly id?: string;
  readonly type?: string;
  readonly user?: string;
  readonly line?: string;
  readonly json?: true;
}

const LINES = "lines";

export function sendCommand(program: Command): void {
  program
    .command("send")
    .summary("sign a sample webhook as a sender would, and post it")
    .description(
      "Signs a sample as the sender does and posts it; prints the answer. Exit code 0 for a 2xx, else 1.\n" +
        "`standard` is Standard Webhooks, which is also what Svix sends. `lines` streams standard input (or a file, by --body)\n" +
        "to a source with `stream: lines`, each line as it comes; --secret is then the source's token or password.",
    )
    .addArgument(createArgument("<sender>", "whose webhook it is, or lines").choices([...SENDERS, LINES]))
    .requiredOption("--to <url>", "where to post it: a webhook source's address")
    .requiredOption("--secret <secret>", "the secret to sign with, as `verify` of the source has it")
    .option("--body <file>", "post what is in this file, byte by byte (- is stdin), instead of the sample")
    .option("--id <id>", "the event's id (default: a new one; the same one twice is a duplicate)")
    .option("--type <type>", "the event's type")
    .option("--user <name>", "lines: the user, where the source verifies by `basic`")
    .option("--line <n>", "lines: the number of the first one, to go on after those that were accepted")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  leat send stripe --to http://127.0.0.1:8080/webhooks/stripe --secret whsec_quickstart\n" +
        '  leat send github --to http://127.0.0.1:8080/webhooks/github --secret "$SECRET" --type issues --body issue.json\n' +
        '  make 2>&1 | leat send lines --to http://127.0.0.1:8080/logs --secret "$TOKEN" --id build-42\n' +
        "  jq -c .event dump.json | leat send standard --to http://127.0.0.1:8080/hook --secret whsec_… --body -",
    )
    .action(async (sender: Sender | typeof LINES, options: SendOptions) => {
      try {
        report(await (sender === LINES ? sendLines(options) : send(sender, options)), options.json);
      } catch (error) {
        fail(error, options.json);
      }
    });
}

interface Sent {
  readonly status: number;
  readonly ms: number;
  readonly id: string;
  readonly type: string;
  readonly answer: string;
}

/** For connecting, and then for each part of the answer. */
const TIMEOUT_MS = 30_000;

/** Enough for any webhook's answer; the rest is not read. */
const ANSWER_BYTES = 16 * 1024;

async function send(sender: Sender, options: SendOptions): Promise<Sent> {
  const url = targetOf(options.to);
  checkSecret(sender, options.secret);
  const now = Date.now();
  const { id, type, body } =
    options.body === undefined ? sample(sender, options, now) : given(sender, options);
  const headers = {
    "content-type": "application/json",
    ...sign(sender, { body, secret: options.secret, id, type, now }),
  };
  const begun = performance.now();
  try {
    const response = await request(url, {
      method: "POST",
      headers,
      body,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
    const answer = await readAnswer(response.body);
    return { status: response.statusCode, ms: Math.round(performance.now() - begun), id, type, answer };
  } catch (error) {
    throw unsent(url, error);
  }
}

/** An answer may come before the lines' end (the source stops), and it may take days until they end. */
async function sendLines(options: SendOptions): Promise<Sent> {
  const url = targetOf(options.to);
  if (options.type !== undefined) {
    throw usage("--type has no place: the source's event_type names a line's type.", "Leave it out.");
  }
  const { secret, user, line, body: from = "-" } = options;
  const { id, headers, body } = lineRequest({ from, secret, user, line, id: options.id });
  const begun = performance.now();
  try {
    const response = await request(url, {
      method: "POST",
      headers,
      body,
      headersTimeout: 0,
      bodyTimeout: TIMEOUT_MS,
    });
    const answer = await readAnswer(response.body);
    return { status: response.statusCode, ms: Math.round(performance.now() - begun), id, type: "", answer };
  } catch (error) {
    throw unsent(url, error);
  } finally {
    body.destroy();
  }
}

function targetOf(to: string): URL {
  const url = URL.canParse(to) ? new URL(to) : null;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw usage(`${to} is no http or https URL.`, "As in: --to http://127.0.0.1:8080/webhooks/stripe");
}

function checkSecret(sender: Sender, secret: string): void {
  if (sender !== "standard" || /^(whsec_)?[A-Za-z0-9+/]+={0,2}$/.test(secret)) return;
  throw usage(
    "That is no Standard Webhooks secret.",
    "It is whsec_ and then base64, as the source's `verify` has it.",
  );
}

/** What is in a file stays as it is, so that the names in it can't be others. */
function given(sender: Sender, options: SendOptions): Sample {
  const named = options.id !== undefined ? "--id" : "--type";
  if (sender === "stripe" && (options.id ?? options.type) !== undefined) {
    throw usage(
      `${named} has no place: a Stripe event's id and type are in its body.`,
      "Change them in the file.",
    );
  }
  if (sender === "standard" && options.type !== undefined) {
    throw usage(
      "--type has no place: a Standard Webhooks event's type is in its body.",
      "Change it in the file.",
    );
  }
  const body = readBody(options.body ?? "-");
  const within = namesIn(body);
  if (sender === "stripe") return { id: within.id ?? "", type: within.type ?? "", body };
  const id = options.id ?? newId(sender);
  if (sender === "standard") return { id, type: within.type ?? "", body };
  return { id, type: options.type ?? USUAL_TYPE[sender], body };
}

/** What a JSON body calls itself; nothing for any other. */
function namesIn(body: Uint8Array): Names {
  try {
    const { id, type } = Object(JSON.parse(Buffer.from(body).toString())) as Record<string, unknown>;
    return {
      id: typeof id === "string" ? id : undefined,
      type: typeof type === "string" ? type : undefined,
    };
  } catch {
    return {};
  }
}

async function readAnswer(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    pieces.push(piece);
    size += piece.byteLength;
    if (size > ANSWER_BYTES) break;
  }
  return Buffer.concat(pieces).toString("utf8", 0, ANSWER_BYTES).trim();
}

function report(sent: Sent, json: true | undefined): void {
  const { status, ms, id, type, answer } = sent;
  if (json) process.stdout.write(`${JSON.stringify(sent)}\n`);
  else
    process.stdout.write(
      `${[type, id].filter(Boolean).join(" ")}: ${status} in ${ms} ms\n${answer === "" ? "" : `${answer}\n`}`,
    );
  if (status >= 200 && status < 300) return;
  process.exitCode = 1;
  const hint = hintFor(status);
  if (!json && hint !== undefined) process.stderr.write(`  ${hint}\n`);
}

const HINT: Record<number, string> = {
  401: "Not taken as signed: is --secret one of the source's, and is its `verify: type` this sender? Is the clock right?",
  404: "No source has this path: compare --to with `path` in the configuration, and the port with `server.listen`.",
  405: "The source takes other methods than POST: see its `methods`.",
  408: "No line came for longer than the source's `stream.idle`: an empty line keeps the stream going.",
  413: "The body is over the source's `max_body`.",
  429: "The source's `rate` is used up: try again later.",
  503: "The daemon takes no events just now: /readyz on its admin listener says why.",
};

function hintFor(status: number): string | undefined {
  if (status >= 300 && status < 400)
    return "A redirect: senders don't follow them; give the final address in --to.";
  return HINT[status];
}

function unsent(url: URL, error: unknown): LeatError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const hint: Record<string, string> = {
    ECONNREFUSED: "Nothing listens there. Is the daemon running (leat run), and is this its `server.listen`?",
    ENOTFOUND: "The host has no address.",
    UND_ERR_INVALID_ARG: "--id and --type go into headers, which can't carry every character.",
    UND_ERR_HEADERS_TIMEOUT: `No answer within ${TIMEOUT_MS / 1000} s.`,
  };
  const what = code === "" ? "" : ` (${code})`;
  return new LeatError(
    "unavailable",
    "not_sent",
    `${url.origin} can't be reached, or didn't answer${what}.`,
    {
      hint: Object.hasOwn(hint, code) ? hint[code] : undefined,
      cause: error,
    },
  );
}

function usage(message: string, hint: string): LeatError {
  return new LeatError("refused", "usage", message, { hint });
}
