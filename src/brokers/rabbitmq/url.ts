/** `amqp:` and `amqps:` addresses, as RabbitMQ's URI specification has them. */

export interface BrokerAddress {
  readonly protocol: "amqp" | "amqps";
  /** Without the brackets of an IPv6 address. */
  readonly hostname: string;
  readonly port: number;
  /** Undefined where the address names none. */
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly vhost: string | undefined;
}

/** Says what is wrong without repeating any of it: it may hold a password. */
export function addressProblem(written: string): { message: string; remedy: string } | null {
  const url = URL.canParse(written) ? new URL(written) : null;
  if (url === null || !/^amqps?:$/.test(url.protocol) || url.hostname === "") {
    return {
      message: "is no amqp or amqps URL",
      remedy: "write it as amqp://127.0.0.1 or amqps://rabbitmq.example.com:5671/vhost",
    };
  }
  if (url.search !== "" || url.hash !== "") {
    return {
      message: "has a query or a fragment",
      remedy: "write heartbeat:, tls: and the like beside the URL",
    };
  }
  if (/^\/[^/]*\//.test(url.pathname)) {
    return {
      message: "has a path of several parts",
      remedy: "write a / within the virtual host's name as %2F",
    };
  }
  return [url.username, url.password, url.pathname].some((part) => decoded(part) === null)
    ? { message: "holds a % that begins no encoded character", remedy: "write a % as %25" }
    : null;
}

/** Of an address without a problem. */
export function parseAddress(written: string): BrokerAddress {
  const url = new URL(written);
  const protocol = url.protocol === "amqps:" ? "amqps" : "amqp";
  return {
    protocol,
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (protocol === "amqps" ? 5671 : 5672) : Number(url.port),
    username: part(url.username),
    password: part(url.password),
    vhost: part(url.pathname.slice(1)),
  };
}

function part(encoded: string): string | undefined {
  return encoded === "" ? undefined : (decoded(encoded) ?? encoded);
}

function decoded(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}
