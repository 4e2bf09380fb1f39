/** Connections: TLS as configured, and addresses checked where the sink says so. */
import { lookup as dnsLookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { createSecureContext } from "node:tls";
import { buildConnector } from "undici";
import { addressRule } from "./addresses.ts";
import type { AddressesConfig, TlsConfig } from "./config.ts";

/** Longer than a lost SYN's first two repeats; the sink's `timeout` counts over all of it anyway. */
const CONNECT_TIMEOUT_MS = 10_000;

class AddressDenied extends Error {
  readonly code = "LEAT_ADDRESS_DENIED";

  constructor(host: string) {
    super(`${host} is at an address that the sink's \`addresses\` deny`);
    this.name = "AddressDenied";
  }
}

type Denied = (address: string) => boolean;

export function createConnector(
  tls: TlsConfig | undefined,
  addresses: AddressesConfig | undefined,
): buildConnector.connector {
  const denied = addresses === undefined ? null : addressRule(addresses);
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    allowH2: false,
    ...(tls === undefined ? {} : tlsOptions(tls)),
    ...(denied === null ? {} : { lookup: checkedLookup(denied) }),
  });
  return denied === null ? connect : checkedConnector(connect, denied);
}

/** What the schema has let through makes a secure context. */
function tlsOptions({ ca, cert, key, servername, insecure }: TlsConfig) {
  return {
    secureContext: createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: !insecure,
  };
}

/** Every address that a name has must be fine: which one gets connected to is not ours to say. */
function checkedLookup(denied: Denied): LookupFunction {
  return (hostname, options, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      const first = found?.[0];
      if (error !== null) callback(error, "", 0);
      else if (first === undefined || found.some(({ address }) => denied(address))) {
        callback(new AddressDenied(hostname), "", 0);
      } else if (options.all) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };
}

/** A literal is never looked up, and a socket tells for certain where it leads. */
function checkedConnector(connect: buildConnector.connector, denied: Denied): buildConnector.connector {
  return (options, callback) => {
    const host = options.hostname.replace(/^\[|\]$/g, "");
    if (isIP(host) !== 0 && denied(host)) {
      queueMicrotask(() => callback(new AddressDenied(host), null));
      return;
    }
    connect(options, (...[error, socket]) => {
      if (error !== null) callback(error, null);
      else if (denied((socket.remoteAddress ?? "").replace(/%.*$/, ""))) {
        socket.destroy();
        callback(new AddressDenied(host), null);
      } else callback(null, socket);
    });
  };
}
