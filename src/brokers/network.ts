/** What Node's codes of the network and of TLS say of a broker, for all families alike: a word, and what to do. */

export interface NetworkFailure {
  readonly error: "connection_refused" | "dns" | "reset" | "timeout" | "unreachable" | "tls";
  /** For people. */
  readonly message: string;
  /** What TLS objects to, a person has to mend. */
  readonly calm: boolean;
}

const UNKNOWN_ISSUER = "the broker's certificate has an unknown issuer: give it as tls.ca";

const BY_CODE: Readonly<Record<string, readonly [error: NetworkFailure["error"], message: string]>> = {
  ECONNREFUSED: [
    "connection_refused",
    "nothing listens there: is the broker running, and is the port right?",
  ],
  ENOTFOUND: ["dns", "the host's name is not known"],
  EAI_AGAIN: ["dns", "the host's name can't be looked up now"],
  ECONNRESET: ["reset", "the broker, or something between, cut the connection"],
  EPIPE: ["reset", "the broker, or something between, cut the connection"],
  ETIMEDOUT: ["timeout", "no answer in time: a firewall, or a host that is down"],
  EHOSTUNREACH: ["unreachable", "there is no way to the host"],
  ENETUNREACH: ["unreachable", "there is no way to the network"],
  CERT_HAS_EXPIRED: ["tls", "the broker's certificate has expired"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["tls", "the broker's certificate is self-signed: give its issuer as tls.ca"],
  SELF_SIGNED_CERT_IN_CHAIN: ["tls", UNKNOWN_ISSUER],
  UNABLE_TO_GET_ISSUER_CERT: ["tls", UNKNOWN_ISSUER],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["tls", UNKNOWN_ISSUER],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["tls", UNKNOWN_ISSUER],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "tls",
    "the broker's certificate is for another name: write that name as its address, or as tls.servername",
  ],
};

const OF_TLS =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|EPROTO$|HOSTNAME_MISMATCH$)/;

/** Null: the code is none of these. */
export function networkFailure(code: string): NetworkFailure | null {
  const known = Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  if (known !== undefined) return { error: known[0], message: known[1], calm: known[0] === "tls" };
  if (!OF_TLS.test(code)) return null;
  const message = `no TLS with the broker (${code}): does the port speak it, and are tls.ca, tls.cert and tls.servername right?`;
  return { error: "tls", message, calm: true };
}
