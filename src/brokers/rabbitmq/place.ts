/** Where a sink publishes, in words that a source can compare with what it consumes: for `leat validate`. */
import type { RabbitmqConnectionConfig } from "./connection.ts";
import { parseAddress } from "./url.ts";

export interface Place {
  /** `host:port/vhost`, of each node that is named. */
  readonly nodes: readonly string[];
  readonly exchange: string;
  readonly routingKey: string;
}

const FAMILY = "rabbitmq ";

export function writtenPlace(config: RabbitmqConnectionConfig, exchange: string, routingKey: string): string {
  return FAMILY + JSON.stringify({ nodes: nodesOf(config), exchange, routingKey } satisfies Place);
}

/** Null for a place of another family. */
export function readPlace(written: string): Place | null {
  return written.startsWith(FAMILY) ? (JSON.parse(written.slice(FAMILY.length)) as Place) : null;
}

export function nodesOf({ url, vhost }: RabbitmqConnectionConfig): string[] {
  return url.map((written) => {
    const address = parseAddress(written);
    return `${address.hostname}:${address.port}/${vhost ?? address.vhost ?? "/"}`;
  });
}

/** Whether a routing key fits a topic exchange's pattern: `*` is one word, `#` any number of them. */
export function topicMatches(pattern: string, routingKey: string): boolean {
  const words = routingKey.split(".");
  const fits = (parts: readonly string[], at: number): boolean => {
    const [part, ...rest] = parts;
    if (part === undefined) return at === words.length;
    if (part === "#") return fits(rest, at) || (at < words.length && fits(parts, at + 1));
    return at < words.length && (part === "*" || part === words[at]) && fits(rest, at + 1);
  };
  return fits(pattern.split("."), 0);
}
