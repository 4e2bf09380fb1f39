/** Why a broker said no, or went away: MQTT's reason codes (5: 2.4; 3.1.1: 3.2.2.3) and the network's, as a BrokerError. */
import { networkFailure } from "../network.ts";
import { BrokerError } from "../supervise.ts";

interface Meaning {
  readonly error: string;
  readonly message: string;
  /** Only a person can mend it. */
  readonly calm?: true;
}

/** Brokers don't tell a wrong password from a user who may not connect. */
const AUTH: Meaning = {
  error: "auth",
  message:
    "the broker refuses this user: check username: and password:, and whether it may connect (with this client_id)",
  calm: true,
};
const VERSION: Meaning = {
  error: "version",
  message: "the broker doesn't speak this version of MQTT: write version: 3.1.1, or 5",
  calm: true,
};
const CLIENT_ID: Meaning = {
  error: "client_id",
  message:
    "the broker refuses the client id: write a client_id: that it takes (some want at most 23 letters and digits)",
  calm: true,
};
const BUSY: Meaning = { error: "unavailable", message: "the broker is there but takes no clients now" };

/** By reason code; 1 to 5 are those of 3.1.1's CONNACK. */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  1: VERSION,
  2: CLIENT_ID,
  3: BUSY,
  4: AUTH,
  5: AUTH,
  132: VERSION,
  133: CLIENT_ID,
  134: AUTH,
  135: AUTH,
  136: BUSY,
  137: BUSY,
  138: {
    error: "banned",
    message: "the broker has banned this client: an operator of it knows why",
    calm: true,
  },
  139: { error: "closed", message: "the broker is shutting down" },
  141: { error: "closed", message: "the broker heard nothing from us for too long (keepalive)" },
  142: {
    error: "session_taken_over",
    message:
      "another client has connected to the broker with our client id: give each Leat, and each source, a client_id of its own",
    calm: true,
  },
  149: { error: "packet_too_large", message: "a packet was larger than the broker takes" },
  151: { error: "quota", message: "the broker says that a quota is used up", calm: true },
  152: { error: "closed", message: "an operator of the broker closed the connection" },
  156: {
    error: "moved",
    message: "the broker says that we should use another server: change url:",
    calm: true,
  },
  157: { error: "moved", message: "the broker has moved: change url:", calm: true },
  159: { error: "quota", message: "the broker says that we connect too often", calm: true },
};

/** What a reason code in a CONNACK or DISCONNECT says. */
export function refusedFor(code: number, reasonString?: string): BrokerError {
  const {
    error,
    message,
    calm = false,
  } = MEANINGS[code] ?? {
    error: "refused",
    message: `the broker ended the connection with reason code ${code}`,
  };
  const said = reasonString === undefined ? "" : ` (it says: ${reasonString.slice(0, 200)})`;
  return new BrokerError(error, `${message}${said}`, { calm });
}

/** Brokers close without a word when they stop, when a packet is too large for them, and with 3.1.1 for all else. */
const CLOSED =
  "the broker closed the connection without saying why: its log may (it stopped; another client has the same client_id; a packet was too large)";

/** What ended a connection, by the error that the client told, if it told one. */
export function brokenBy(error: Error | null): BrokerError {
  if (error === null) return new BrokerError("closed", CLOSED);
  if (error instanceof BrokerError) return error;
  const code = codeOf(error);
  if (typeof code === "number") return refusedFor(code);
  const network = networkFailure(code);
  if (network !== null) {
    return new BrokerError(network.error, network.message, { calm: network.calm, cause: error });
  }
  // The client's own, which have no code: a broken packet, a time-out of its own.
  return new BrokerError("protocol", `the connection broke: ${error.message.slice(0, 200)}`, {
    cause: error,
  });
}

/** A number is a reason code of MQTT; text is the network's. */
function codeOf(error: Error): string | number {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if ("code" in at && (typeof at.code === "string" || typeof at.code === "number")) return at.code;
    at = at instanceof AggregateError ? at.errors[0] : at.cause;
  }
  return "";
}
