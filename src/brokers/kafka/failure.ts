/** What kafkajs' errors mean: a word, what a person should do, and whether only a person can mend it. */
import { networkFailure } from "../network.ts";
import { BrokerError } from "../supervise.ts";

/** The fields of kafkajs' errors that tell anything; its messages are for people only. */
interface Described {
  /** `KafkaJSConnectionError`, … */
  readonly name: string;
  /** The protocol's name of the error: `TOPIC_AUTHORIZATION_FAILED`, … */
  readonly type: string;
  /** Of the socket or of TLS: `ECONNREFUSED`, … */
  readonly code: string;
  readonly message: string;
}

/** Outermost first. kafkajs wraps an error in those of its retries. */
function chain(error: unknown): Described[] {
  const all: Described[] = [];
  for (let at: unknown = error; at instanceof Error && all.length < 8; at = at.cause) {
    const word = (field: string) => {
      const value: unknown = Reflect.get(at as Error, field);
      return typeof value === "string" ? value : "";
    };
    all.push({ name: at.name, type: word("type"), code: word("code"), message: at.message });
  }
  return all;
}

interface Meaning {
  readonly error: string;
  readonly remedy: string;
  readonly calm?: true;
}

const FORBIDDEN = (what: string, acl: string): Meaning => ({
  error: "forbidden",
  remedy: `the user may not ${what}: allow it (kafka-acls.sh --add --allow-principal User:… ${acl})`,
  calm: true,
});

const AUTH: Meaning = { error: "auth", remedy: "check sasl: type, user and password", calm: true };

const COORDINATOR: Meaning = {
  error: "coordinator",
  remedy: "the broker that looks after the group isn't ready yet",
};

const REPLICAS: Meaning = {
  error: "not_enough_replicas",
  remedy:
    "fewer replicas are in sync than the topic wants (min.insync.replicas): bring the other brokers back",
};

const BY_TYPE: Readonly<Record<string, Meaning>> = {
  SASL_AUTHENTICATION_FAILED: AUTH,
  UNSUPPORTED_SASL_MECHANISM: {
    error: "auth",
    remedy: "the brokers don't offer this sasl type: choose one of theirs",
    calm: true,
  },
  ILLEGAL_SASL_STATE: {
    error: "auth",
    remedy: "the brokers and we disagree on whether there is a password: check sasl and the port",
    calm: true,
  },
  TOPIC_AUTHORIZATION_FAILED: FORBIDDEN("use the topic", "--operation Read --operation Write --topic …"),
  GROUP_AUTHORIZATION_FAILED: FORBIDDEN("use the consumer group", "--operation Read --group …"),
  CLUSTER_AUTHORIZATION_FAILED: FORBIDDEN("do this in the cluster", "--operation IdempotentWrite --cluster"),
  UNKNOWN_TOPIC_OR_PARTITION: {
    error: "unknown_topic",
    remedy: "the topic doesn't exist: make it, or mend its name",
    calm: true,
  },
  INVALID_TOPIC_EXCEPTION: {
    error: "unknown_topic",
    remedy: "that is no name of a topic: mend it",
    calm: true,
  },
  INCONSISTENT_GROUP_PROTOCOL: {
    error: "group_protocol",
    remedy: "other clients of this group share partitions out in another way: give Leat a group of its own",
    calm: true,
  },
  INVALID_SESSION_TIMEOUT: {
    error: "session_timeout",
    remedy: "the brokers don't allow it (group.min.session.timeout.ms to group.max…): change session_timeout",
    calm: true,
  },
  GROUP_LOAD_IN_PROGRESS: COORDINATOR,
  GROUP_COORDINATOR_NOT_AVAILABLE: COORDINATOR,
  NOT_COORDINATOR_FOR_GROUP: COORDINATOR,
  NOT_ENOUGH_REPLICAS: REPLICAS,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: REPLICAS,
  MESSAGE_TOO_LARGE: {
    error: "too_large",
    remedy: "it is over the topic's max.message.bytes or the brokers' message.max.bytes",
  },
  RECORD_LIST_TOO_LARGE: { error: "too_large", remedy: "it is over the topic's segment.bytes" },
};

const BY_NAME: Readonly<Record<string, Meaning>> = {
  KafkaJSSASLAuthenticationError: AUTH,
  KafkaJSRequestTimeoutError: { error: "timeout", remedy: "the broker doesn't answer in time" },
  KafkaJSConnectionClosedError: {
    error: "closed",
    remedy: "the broker closed the connection: if it always does, does the port expect tls or sasl?",
  },
  KafkaJSGroupCoordinatorNotFound: { error: "coordinator", remedy: "no broker looks after the group yet" },
  KafkaJSServerDoesNotSupportApiKey: {
    error: "version",
    remedy: "the broker doesn't speak a version of the protocol that the client does",
    calm: true,
  },
  // Without a code: of the time-out while connecting, and of a server that closes during the login.
  KafkaJSConnectionError: {
    error: "timeout",
    remedy: "the broker doesn't answer, or closes at once: does the port expect tls or sasl?",
  },
};

function ofNetwork(code: string): Meaning | undefined {
  const failure = networkFailure(code);
  if (failure === null) return undefined;
  const { error, message, calm } = failure;
  return { error, remedy: message, ...(calm ? { calm } : {}) };
}

function meaningOf(error: unknown): Meaning | null {
  const all = chain(error);
  for (const { type, code } of all) {
    const meaning = BY_TYPE[type] ?? ofNetwork(code);
    if (meaning !== undefined) return meaning;
  }
  // The innermost name: the outer ones are those of the retries.
  for (const { name } of all.toReversed()) if (BY_NAME[name] !== undefined) return BY_NAME[name];
  return null;
}

/**
 * Never throws. @param where for people: what was tried, such as `127.0.0.1:9092`.
 */
export function asBrokerError(error: unknown, where: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const meaning = meaningOf(error);
  const said = chain(error).at(-1)?.message ?? String(error);
  if (meaning === null) return new BrokerError("kafka", `${where}: ${said}`, { cause: error });
  return new BrokerError(meaning.error, `${where}: ${said}: ${meaning.remedy}`, {
    calm: meaning.calm === true,
    cause: error,
  });
}

/** The protocol's name of what is behind an error; "" where it isn't the protocol's. */
export function protocolError(error: unknown): string {
  return chain(error).find(({ type }) => type !== "")?.type ?? "";
}
