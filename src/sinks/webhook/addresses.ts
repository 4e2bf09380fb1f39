/**
 * Which addresses a webhook may connect to. Checked for literals, for everything a lookup yields, and once more on the
 * connected socket: undici calls no `lookup` for a literal, and a name can resolve differently the next time.
 */
import { BlockList, isIP } from "node:net";

/** The ranges of IANA's special-purpose registries that are not the public internet, with the translators to them. */
const PRIVATE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/128",
  "::1/128",
  "64:ff9b::/96",
  "64:ff9b:1::/48",
  "100::/64",
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "fc00::/7",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
];

interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: "ipv4" | "ipv6";
}

/** `10.0.0.0/8`, `fd00::/8`, or one address; null when it is none. */
export function parseCidr(written: string): Network | null {
  const [address = "", bits, ...rest] = written.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return null;
  const most = version === 4 ? 32 : 128;
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return null;
  const length = bits === undefined ? most : Number(bits);
  return length > most ? null : { address, bits: length, family: version === 4 ? "ipv4" : "ipv6" };
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const written of networks) {
    const network = parseCidr(written);
    if (network !== null) list.addSubnet(network.address, network.bits, network.family);
  }
  return list;
}

/** Says whether an IP address (in any literal form that `isIP` takes) is denied. */
export function addressRule(config: {
  readonly deny: "private" | readonly string[];
  readonly allow?: readonly string[] | undefined;
}): (address: string) => boolean {
  const deny = blockList(config.deny === "private" ? PRIVATE : config.deny);
  const allow = blockList(config.allow ?? []);
  return (address) => {
    const version = isIP(address);
    // What isn't an address can't be judged; a socket without one is refused.
    if (version === 0) return true;
    const family = version === 4 ? "ipv4" : "ipv6";
    return deny.check(address, family) && !allow.check(address, family);
  };
}
