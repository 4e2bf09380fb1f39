/**
 * What went wrong with a RabbitMQ, as a word and a remedy. amqplib gives an AMQP reply code where it can; of a handshake it
 * gives only a text, and `handshakeFailure` is the one place that reads it (test/brokers/rabbitmq/access.e2e.ts).
 */
import { networkFailure } from "../network.ts";
import { BrokerError } from "../supervise.ts";

/** AMQP 0-9-1 reply codes, as far as they tell causes apart. */
const CONNECTION_FORCED = 320;
const ACCESS_REFUSED = 403;
const NOT_FOUND = 404;
const RESOURCE_LOCKED = 405;
export const PRECONDITION_FAILED = 406;

/** Why a connection didn't come about, or why it ended. */
export function connectionFailure(cause: unknown): BrokerError {
  const code = codeOf(cause);
  if (typeof code === "number") return closedByBroker(code, cause);
  if (typeof code === "string") {
    const { error, message, calm } = networkFailure(code) ?? ofNode(code);
    return new BrokerError(error, message, { calm, cause });
  }
  return handshakeFailure(cause) ?? new BrokerError("closed", "the connection ended", { cause });
}

/** `ABORT_ERR` is of our own time limit. */
function ofNode(code: string) {
  return code === "ABORT_ERR"
    ? { error: "timeout", message: "the broker did not answer in time", calm: false }
    : { error: "network", message: `the connection failed (${code})`, calm: false };
}

function closedByBroker(code: number, cause: unknown): BrokerError {
  if (code === CONNECTION_FORCED) {
    return new BrokerError("closed", "the broker closed the connection: it stops, or an operator did it", {
      cause,
    });
  }
  return new BrokerError("closed", `the broker closed the connection: ${textOf(cause)}`, { cause });
}

/** amqplib says only by text what happened before the connection was open. */
function handshakeFailure(cause: unknown): BrokerError | null {
  const text = textOf(cause);
  if (text.startsWith(`Handshake terminated by server: ${ACCESS_REFUSED}`)) {
    const message =
      "username or password is wrong; RabbitMQ lets guest in from its own host only, unless loopback_users says otherwise";
    return new BrokerError("auth", message, { calm: true, cause });
  }
  if (text.startsWith("Expected ConnectionOpenOk; got <ConnectionClose")) {
    const message =
      "the virtual host doesn't exist, or the user has no permissions in it: rabbitmqctl list_vhosts, rabbitmqctl set_permissions -p <vhost> <user> '.*' '.*' '.*'";
    return new BrokerError("vhost", message, { calm: true, cause });
  }
  if (/^(Frame size \d+ exceeds|Invalid frame|Unknown frame type)/.test(text)) {
    return new BrokerError("protocol", "what answers there is no AMQP 0-9-1: is it the right port?", {
      calm: true,
      cause,
    });
  }
  return text === "Heartbeat timeout"
    ? new BrokerError("heartbeat", "the broker was silent for two heartbeats", { cause })
    : null;
}

/** What was done on a channel when the broker closed it. */
export interface Doing {
  /** For people, within a sentence: `consume queue 'jobs'`. */
  readonly what: string;
  /** The word where the thing isn't there: `unknown_queue`, `unknown_exchange`. */
  readonly missing: string;
  /** What to do then. */
  readonly remedy: string;
}

/** Why a channel ended, or why what was asked on it failed. */
export function channelFailure(cause: unknown, { what, missing, remedy }: Doing): BrokerError {
  const because = `can't ${what}: ${textOf(cause)}`;
  switch (codeOf(cause)) {
    case NOT_FOUND:
      return new BrokerError(missing, `${because}; ${remedy}`, { calm: true, cause });
    case ACCESS_REFUSED:
      return new BrokerError(
        "forbidden",
        `${because}; give the user that permission: rabbitmqctl set_permissions`,
        { calm: true, cause },
      );
    case RESOURCE_LOCKED:
      return new BrokerError("locked", `${because}; another connection has it for itself alone`, {
        calm: true,
        cause,
      });
    case PRECONDITION_FAILED:
      return new BrokerError("precondition", because, { calm: true, cause });
    case undefined:
      return new BrokerError("closed", "the channel ended", { cause });
    default:
      return new BrokerError("closed", because, { cause });
  }
}

/** An AMQP reply code (a number) or Node's (a text). */
function codeOf(cause: unknown): string | number | undefined {
  for (let at = cause, depth = 0; at instanceof Error && depth < 5; depth++) {
    if ("code" in at && (typeof at.code === "string" || typeof at.code === "number")) return at.code;
    at = at instanceof AggregateError ? at.errors[0] : at.cause;
  }
  return undefined;
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
