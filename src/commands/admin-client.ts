/** The commands' way to a running daemon: its admin listener. */
import type { Command } from "commander";
import { formatProblem } from "../config/load.ts";
import { LeatError } from "../errors.ts";
import { readConfiguration } from "./configuration.ts";
import { fail } from "./exit.ts";

const USUAL = "127.0.0.1:8081";

export interface AdminOptions {
  readonly admin?: string;
  readonly config?: string[];
  readonly json?: boolean;
}

/** The options that every command of a running daemon has. */
export function withAdminOptions(command: Command): Command {
  return command
    .option("--admin <url>", `where the daemon's admin listener is (default: as configured, else ${USUAL})`)
    .option("-c, --config <path...>", "the configuration that says where (default: ./leat.yaml)")
    .option("--json", "print the answer as JSON");
}

/** Does what a command says and prints it: as `say` puts it, or with --json as the daemon answered. */
export async function ask<T>(
  options: AdminOptions,
  path: string,
  body: object,
  say: (answer: T) => string,
): Promise<void> {
  try {
    const answer = (await post(target(options), path, body)) as T;
    process.stdout.write(`${options.json === true ? JSON.stringify(answer) : say(answer)}\n`);
  } catch (error) {
    fail(error, options.json);
  }
}

interface Target {
  readonly url: string;
  readonly token: string | null;
}

/** @throws LeatError of kind `configuration` where a configuration is there and can't tell. */
function target({ admin, config }: AdminOptions): Target {
  const fromEnv = process.env.LEAT_ADMIN_TOKEN ?? null;
  if (admin !== undefined) return { url: asUrl(admin), token: fromEnv };
  const loaded = readConfiguration(config ?? []);
  if (loaded.settings !== null) {
    const { server } = loaded.settings;
    return { url: asUrl(server.admin), token: fromEnv ?? server.adminToken };
  }
  const url = process.env.LEAT_ADMIN;
  if (url !== undefined && url !== "") return { url: asUrl(url), token: fromEnv };
  if (config === undefined && loaded.files.length === 0) return { url: asUrl(USUAL), token: fromEnv };
  // The usual address may be another daemon's, which mustn't get this one's orders, nor its token.
  const problems = loaded.ok ? [] : loaded.problems.map((problem) => `  ${formatProblem(problem)}`);
  throw new LeatError(
    "configuration",
    "no_admin_address",
    ["The configuration doesn't tell where the daemon is.", ...problems].join("\n"),
    { hint: "Mend it, or say where the daemon is with --admin or LEAT_ADMIN." },
  );
}

/** A daemon that listens everywhere is asked on loopback. */
function asUrl(address: string): string {
  const url =
    URL.canParse(address) && address.includes("://") ? new URL(address) : new URL(`http://${address}`);
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.hostname === "[::]") url.hostname = "[::1]";
  return url.origin;
}

/** Longer than a reload or a large purge takes. */
const TIMEOUT_MS = 120_000;

async function post({ url, token }: Target, path: string, body: object): Promise<unknown> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((cause: unknown) => {
    throw new LeatError("internal", "no_daemon", `No daemon answers at ${url}.`, {
      hint: "Start one with `leat run`, or say where it is with --admin.",
      cause,
    });
  });
  const answer = (await response.json().catch(() => ({}))) as {
    error?: { code: string; message: string; hint?: string; problems?: string[] };
  };
  if (response.ok) return answer;
  const {
    code,
    message,
    hint,
    problems = [],
  } = answer.error ?? {
    code: "bad_answer",
    message: `${url} answered ${response.status}.`,
  };
  const kind = code === "invalid_configuration" ? "configuration" : "refused";
  throw new LeatError(kind, code, [message, ...problems.map((problem) => `  ${problem}`)].join("\n"), {
    hint: response.status === 401 ? "Set LEAT_ADMIN_TOKEN to the daemon's server.admin_token." : hint,
  });
}
