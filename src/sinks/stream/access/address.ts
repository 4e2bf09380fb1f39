/** Where a reader is, as far as that can be known behind proxies. Pure. */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { addressRule } from "../../webhook/addresses.ts";

/**
 * Finds the address of a request's client. What a proxy of `trusted` (networks) says in `X-Forwarded-For` is believed, from
 * its end on, up to the first address that is no proxy: whatever stands before that one the client may have written itself.
 */
export function clientAddress(trusted: readonly string[]): (request: IncomingMessage) => string {
  if (trusted.length === 0) return (request) => plain(request.socket.remoteAddress ?? "");
  const listed = addressRule({ deny: trusted });
  const isProxy = (address: string) => isIP(address) !== 0 && listed(address);
  return (request) => {
    let address = plain(request.socket.remoteAddress ?? "");
    const hops = String(request.headers["x-forwarded-for"] ?? "").split(",");
    while (isProxy(address)) {
      const before = plain((hops.pop() ?? "").trim());
      // Not an address, or the end of the list: the last one that is known stands for it.
      if (isIP(before) === 0) return address;
      address = before;
    }
    return address;
  };
}

/** Without a zone, and IPv4 as such: `::ffff:192.0.2.1` is what a socket of both families calls it. */
function plain(address: string): string {
  const bare = address.replace(/%.*$/, "").replace(/^\[(.*)\]$/, "$1");
  return /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(bare)?.[1] ?? bare;
}

/** What counts as one client in a limit: of IPv6 the /64, which is the least that one household gets. */
export function addressBlock(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail = ""] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (address.includes("::")) {
    const after = tail === "" ? [] : tail.split(":");
    while (groups.length + after.length < 8) groups.push("0");
  }
  while (groups.length < 4) groups.push("0");
  const four = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${four.join(":")}::/64`;
}
