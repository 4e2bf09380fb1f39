/**
 * The daemon's own settings: default < file < environment < arguments, laid over each other by convict.
 *
 * The schema below is the one place that knows them; the names of variables and arguments follow from it. A setting of
 * `server` bears its own name (`LEAT_ADMIN_TOKEN`, `--admin-token`), any other its section's too (`LEAT_LOG_LEVEL`).
 */
import { resolve } from "node:path";
import convict from "convict";
import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";
import type { Settings } from "../plan.ts";
import { explain } from "./explain.ts";
import { duration, integer, listenAddress, object, oneOf, secret, share, size, text } from "./fields.ts";
import type { Merged } from "./files.ts";
import { coerce, type Filled, type FillSources } from "./fill.ts";
import { httpSchema, toHttpLimits } from "./http-limits.ts";
import { dotted, type Problems } from "./problem.ts";
import { type Field, fieldOf, isMap, type Path, shapeOf, valueAt } from "./walk.ts";

const bytes = (written: string) => size().prefault(written);

export const settingsFields = {
  server: object({
    listen: listenAddress().prefault("127.0.0.1:8080").describe("Webhooks in; SSE out"),
    admin: listenAddress()
      .prefault("127.0.0.1:8081")
      .describe("First page, API, /healthz, /readyz, /metrics. Off loopback it needs admin_token"),
    admin_token: secret().optional().describe("What the API and the page ask for"),
    admin_hosts: z
      .array(text())
      .default([])
      .describe("Names, beside loopback ones, that a request to the admin listener may bear as its Host"),
    hosts: z
      .array(text())
      .default([])
      .describe(
        "Names, beside localhost and addresses, by which a stream that anyone may read may be called. " +
          "None: off loopback by any name, on loopback by no other",
      ),
    http: httpSchema.prefault({}).describe("What clients may take of a listener"),
  })
    .prefault({})
    .describe("The listeners"),
  journal: object({
    type: oneOf(["sqlite"]).default("sqlite").describe("Which engine"),
    path: text().prefault("./data").describe("Its folder; a relative path counts from this file's folder"),
    watermark: object({
      share: share().prefault("10%").describe("Sources are told to wait below this share of the disk"),
      size: bytes("1GiB").describe("or below this much free space, whichever is less"),
    })
      .prefault({})
      .describe("How much of the disk stays free"),
  })
    .prefault({})
    .describe("Where accepted events are kept"),
  log: object({
    level: oneOf(["error", "warn", "info", "debug", "trace"])
      .default("info")
      .describe("Payloads only at trace"),
    format: oneOf(["auto", "json", "pretty"])
      .default("auto")
      .describe("auto: pretty on a terminal, else JSON"),
  })
    .prefault({})
    .describe("What goes to standard error"),
  shutdown: object({
    delay: duration().prefault("5s").describe("Webhooks are still taken so long after SIGTERM"),
    timeout: duration().prefault("35s").describe("The process ends within this time"),
  })
    .prefault({})
    .describe("What happens at SIGTERM"),
  limits: object({
    event: bytes("1MiB").describe("The body of one event that comes by HTTP"),
    broker_event: bytes("16MiB").describe("The body of one event that comes from a broker"),
    headers: integer(1, 10_000).default(100).describe("Headers of one event"),
    header_bytes: bytes("64KiB").describe("All headers of one event together"),
    id: bytes("512B").describe("The id of an event"),
    key: bytes("1KiB").describe("The key of an event"),
    channel: bytes("256B").describe("The name of a channel"),
    uncommitted: bytes("64MiB").describe("What may wait for a commit before sources are told to wait"),
    commit_wait: duration().prefault("10s").describe("How long a request waits for its commit"),
    answer_failure: bytes("1KiB").describe("Kept of a receiver's answer that was a failure"),
    answer_success: bytes("256B").describe("Kept of a receiver's answer that was a success"),
    dedupe_ids: integer(1, 100_000_000).default(5_000_000).describe("Ids remembered over all sources"),
  })
    .prefault({})
    .describe("Bounds on what comes in"),
};

const settingsSchema = object(settingsFields);

/** One setting, with its variable and its argument. */
export interface SettingOption {
  readonly path: Path;
  readonly variable: string;
  /** Without the leading `--`. */
  readonly argument: string;
  readonly field: Field;
}

/** All settings that a variable or an argument may set, for the command line's help and the reference. */
export const settingOptions: readonly SettingOption[] = leaves(settingsSchema, []).map(([path, field]) => {
  const words = (path[0] === "server" ? path.slice(1) : path).join("_").split("_");
  return { path, variable: `LEAT_${words.join("_").toUpperCase()}`, argument: words.join("-"), field };
});

function leaves(schema: z.core.$ZodType, path: Path): [Path, Field][] {
  const shape = shapeOf(schema);
  if (shape.length === 0) return [[path, fieldOf(schema)]];
  return shape.flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

export interface SettingsInput {
  readonly filled: Filled;
  /** As on a command line: `--log-level=debug`. What isn't a setting is left alone. */
  readonly args: readonly string[];
  readonly from: FillSources;
}

/** Null where a setting is wrong; why is among the problems. */
export function readSettings(input: SettingsInput, merged: Merged, problems: Problems): Settings | null {
  const { filled, args, from } = input;
  const file = isMap(filled.value) ? filled.value : {};
  const env = from.readEnv ? from.env : {};
  warnOfUnknownVariables(env, problems);
  const layered = layer(file, args, env);
  for (const { path, field } of settingOptions) {
    const value = field.flags.secret ? valueAt(layered.value, path) : null;
    if (typeof value === "string") problems.hideSecret(value);
  }
  const result = settingsSchema.safeParse(layered.value);
  if (!result.success) {
    const subject = { schema: settingsSchema, value: layered.value, base: [], filled };
    const placed: Merged = { ...merged, place: (path, at) => layered.place(path) ?? merged.place(path, at) };
    explain(result.error.issues, subject, placed, problems);
    return null;
  }
  const settings = toSettings(result.data, (path) => {
    return layered.place(["journal", "path"]) ? resolve(path) : resolve(merged.folder(["journal"]), path);
  });
  checkSettings(settings, from, (path) => layered.place(path) ?? merged.place(path), problems);
  return settings;
}

/** A slip in a variable's name would otherwise pass in silence. Only near ones: others may have a `LEAT_` of their own. */
function warnOfUnknownVariables(env: FillSources["env"], problems: Problems): void {
  const known = settingOptions.map(({ variable }) => variable);
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith("LEAT_") || known.includes(variable)) continue;
    const near = closest(variable, known);
    if (distance(variable, near) > 2) continue;
    const place = { file: variable, line: 0, column: 0 };
    problems.warn(place, "no setting has this variable", `did you mean ${near}?`);
  }
}

/** The file's settings with variables and arguments over them, and where the latter come from. */
function layer(file: Record<string, unknown>, args: readonly string[], env: FillSources["env"]) {
  const definition = {};
  for (const { path, variable, argument, field } of settingOptions) {
    let at: Record<string, unknown> = definition;
    for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    // Null stands for "not set": zod, which knows the defaults, fills them in afterwards.
    const sensitive = field.flags.secret === true;
    at[String(path.at(-1))] = {
      default: null,
      nullable: true,
      format: "*",
      env: variable,
      arg: argument,
      sensitive,
    };
  }
  const over = convict<Record<string, unknown>>(definition as convict.Schema<Record<string, unknown>>, {
    args: [...args],
    env: { ...env } as NodeJS.ProcessEnv,
  });
  const value = structuredClone(file);
  const origins = new Map<string, string>();
  for (const { path, variable, argument, field } of settingOptions) {
    const set: unknown = over.get(path.join("."));
    if (set === null) continue;
    const given = args.some((arg) => arg === `--${argument}` || arg.startsWith(`--${argument}=`));
    origins.set(dotted(path), given ? `--${argument}` : variable);
    put(value, path, coerce(String(set), [field]));
  }
  return {
    value,
    place: (path: Path) => {
      const origin = origins.get(dotted(path));
      return origin === undefined ? null : { file: origin, line: 0, column: 0 };
    },
  };
}

function put(map: Record<string, unknown>, path: Path, value: unknown): void {
  let at = map;
  for (const key of path.slice(0, -1)) {
    if (!isMap(at[key])) at[key] = {};
    at = at[key] as Record<string, unknown>;
  }
  at[String(path.at(-1))] = value;
}

function toSettings(
  { server, journal, log, shutdown, limits }: z.output<typeof settingsSchema>,
  absolute: (path: string) => string,
): Settings {
  return {
    server: {
      listen: server.listen,
      admin: server.admin,
      adminToken: server.admin_token ?? null,
      adminHosts: server.admin_hosts,
      hosts: server.hosts,
      http: toHttpLimits(server.http),
    },
    journal: {
      type: journal.type,
      path: absolute(journal.path),
      watermark: { share: journal.watermark.share, bytes: journal.watermark.size },
    },
    log,
    shutdown: { delayMs: shutdown.delay, timeoutMs: shutdown.timeout },
    limits: {
      eventBytes: limits.event,
      brokerEventBytes: limits.broker_event,
      headers: limits.headers,
      headerBytes: limits.header_bytes,
      idBytes: limits.id,
      keyBytes: limits.key,
      channelBytes: limits.channel,
      uncommittedBytes: limits.uncommitted,
      commitWaitMs: limits.commit_wait,
      answerFailureBytes: limits.answer_failure,
      answerSuccessBytes: limits.answer_success,
      dedupeIds: limits.dedupe_ids,
    },
  };
}

type PlaceOf = (path: Path) => ReturnType<Merged["place"]>;

function checkSettings(settings: Settings, from: FillSources, place: PlaceOf, problems: Problems): void {
  const { server, shutdown } = settings;
  // Without variables a token may be one of those that weren't read.
  if (from.readEnv && server.adminToken === null && !isLoopback(server.admin)) {
    problems.error(
      place(["server", "admin"]),
      "server.admin: the admin listener is off loopback and has no token",
      "set server.admin_token or LEAT_ADMIN_TOKEN, or listen on 127.0.0.1",
    );
  }
  if (server.admin === server.listen && !server.admin.endsWith(":0")) {
    problems.error(
      place(["server", "admin"]),
      "server.admin: is the same address as server.listen",
      "take another port",
    );
  }
  if (server.http.headersTimeoutMs > server.http.requestTimeoutMs) {
    problems.error(
      place(["server", "http", "headers_timeout"]),
      "server.http.headers_timeout: is longer than request_timeout, which includes it",
      "make it the shorter one",
    );
  }
  if (shutdown.delayMs >= shutdown.timeoutMs) {
    problems.error(
      place(["shutdown", "delay"]),
      "shutdown.delay: leaves no time until shutdown.timeout",
      "make the timeout longer than the delay",
    );
  }
}

/** Whether an address can be reached from this machine only. */
export function isLoopback(address: string): boolean {
  const host = hostOf(address);
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** `127.0.0.1` of `127.0.0.1:8080`, `::1` of `[::1]:8080`. */
export function hostOf(address: string): string {
  return address
    .slice(0, address.lastIndexOf(":"))
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
}
